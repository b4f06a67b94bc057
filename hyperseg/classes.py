"""Class names and palettes, in the order of the networks' outputs: the datasets', and those of one's own.

Sources: CamVid's `label_colors.txt` grouped into the 11 classes that papers score, Cityscapes' `labels.py` (train ids),
and PASCAL VOC's colour map.
"""

from __future__ import annotations

import colorsys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from itertools import islice

from hyperseg.text import is_plain

VOID = 255
"""Label of pixels that are neither trained on nor scored."""

MAX_CLASSES = 256
"""Of a network whose labels are one byte; a data set with void has one less."""

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""


@dataclass(frozen=True)
class Classes:
    """Classes of a dataset: label k has the name `names[k]` and the colour `palette[k]`.

    Raises:
        ValueError: different numbers of names and colours.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(f"{len(self.names)} class names but {len(self.palette)} colours")

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> Classes:
        """The first `count` classes, e.g. CamVid's 11 scored ones.

        Raises:
            ValueError: `count` is not between 1 and the number of classes.
        """
        if not 1 <= count <= len(self):
            raise ValueError(f"asked for the first {count} of {len(self)} classes")
        return Classes(self.names[:count], self.palette[:count])


CAMVID_12 = Classes(
    names=(
        "sky", "building", "pole", "road", "pavement", "tree",
        "sign", "fence", "car", "pedestrian", "cyclist", "void",
    ),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
    ),
)  # fmt: skip
CAMVID_11 = CAMVID_12.first(11)

CITYSCAPES = Classes(
    names=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    palette=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
        (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip


def voc_palette(count: int) -> tuple[Colour, ...]:
    """PASCAL VOC's colour map: the bits of the label, three at a time, fill the channels from the top bit down."""

    def colour(label: int) -> Colour:
        red = green = blue = 0
        for bit in range(7, -1, -1):
            red |= (label & 1) << bit
            green |= (label >> 1 & 1) << bit
            blue |= (label >> 2 & 1) << bit
            label >>= 3
        return red, green, blue

    return tuple(colour(label) for label in range(count))


VOC = Classes(
    names=(
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
    ),
    palette=voc_palette(21),
)  # fmt: skip

_BY_DATASET = {"camvid": (CAMVID_11, CAMVID_12), "cityscapes": (CITYSCAPES,), "voc": (VOC,)}


def class_set(dataset: str | None, count: int) -> Classes:
    """The classes of a dataset ("camvid", "cityscapes", "voc") if it has `count`, else numbered ones in VOC's colours.

    CamVid has 12 labels in the published files (index 11 is void) and 11 in the paper's score: both are available.
    """
    for classes in _BY_DATASET.get(dataset or "", ()):
        if len(classes) == count:
            return classes
    return Classes(tuple(f"class {label}" for label in range(count)), voc_palette(count))


def own_classes(names: Sequence[str], palette: Sequence[Colour] | None = None) -> Classes:
    """Classes of one's own; without a palette, in `distinct_palette`.

    Raises:
        ValueError: see `check_names` and `check_palette`; different numbers of names and colours.
    """
    check_names(names)
    if palette is None:
        return Classes(tuple(names), distinct_palette(len(names)))
    check_palette(palette)
    return Classes(tuple(names), tuple(palette))


def check_names(names: Sequence[str]) -> None:
    """Check class names.

    Raises:
        ValueError: a name that is no text, empty, given twice (how many spaces, and in which form its letters
            are, does not count) or not of one line; the message names it. More names than a label of one byte tells
            apart.
    """
    if len(names) > MAX_CLASSES:
        raise ValueError(f"{len(names)} class names; a label is one byte, so at most {MAX_CLASSES} can be told apart")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"the class name {name!r} is not text")
        if all(character.isspace() or unicodedata.category(character) == "Cf" for character in name):
            raise ValueError(f"the class name {name!r} is empty, or cannot be seen")
        if not is_plain(name):
            raise ValueError(f"the class name {name!r} has a line break or another control character")
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(" ".join(unicodedata.normalize("NFC", name).split()), name)
        if other != name:
            raise ValueError(f"the class names {other!r} and {name!r} look the same; leave out one or rename it")
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"the class name {name!r} is given {times} times")


def check_palette(palette: Sequence[Colour]) -> None:
    """Check colours.

    Raises:
        ValueError: one that is not three whole numbers from 0 to 255; the message shows it.
    """
    for colour in palette:
        if not isinstance(colour, tuple) or len(colour) != 3 or not all(_is_byte(value) for value in colour):
            shown = list(colour) if isinstance(colour, tuple) else colour
            raise ValueError(f"the colour {shown!r} is not [red, green, blue] from 0 to 255")


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def distinct_palette(count: int) -> tuple[Colour, ...]:
    """`count` different bright colours, the same in each call, black and white not among them."""
    return tuple(islice(_bright_colours(), count))


def _bright_colours() -> Iterator[Colour]:
    """Hues by the golden angle, which keeps any number of them apart, in turns of three tones."""
    tones = ((0.85, 0.95), (0.5, 1.0), (0.9, 0.65))
    used: set[Colour] = set()
    for index in count_from():
        hue = index * 0.381966 % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, *tones[index % len(tones)])
        colour = round(255 * red), round(255 * green), round(255 * blue)
        if colour not in used:
            used.add(colour)
            yield colour

"""Class names and palettes of the datasets, in the order of the networks' outputs.

Sources: CamVid's `label_colors.txt` grouped into the 11 classes that papers score, Cityscapes' `labels.py` (train ids),
and PASCAL VOC's colour map.
"""

from __future__ import annotations

from dataclasses import dataclass

VOID = 255
"""Label of pixels that are neither trained on nor scored."""

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

_BY_DATASET = {"camvid": CAMVID_12, "cityscapes": CITYSCAPES, "voc": VOC}


def class_set(dataset: str | None, count: int) -> Classes:
    """The first `count` classes of a dataset ("camvid", "cityscapes", "voc"), or numbered classes in VOC's colours.

    Classes are numbered if the dataset is unknown or has fewer. CamVid has 12 labels in the published files (index 11
    is void) and 11 in the paper's score: both are available.
    """
    known = _BY_DATASET.get(dataset or "")
    if known is not None and count <= len(known):
        return known.first(count)
    return Classes(tuple(f"class {label}" for label in range(count)), voc_palette(count))

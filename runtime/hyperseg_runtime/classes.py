"""Class names and colours of the data sets that the published networks were trained on."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """The classes of a data set: one name and one RGB colour (0..255) for each label."""

    names: tuple[str, ...]
    palette: tuple[RGB, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(f"{len(self.names)} class names but {len(self.palette)} colours")

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> ClassSet:
        """The first `count` classes, e.g. CamVid's 11 scored ones."""
        if not 1 <= count <= len(self):
            raise ValueError(f"asked for the first {count} of {len(self)} classes")
        return ClassSet(self.names[:count], self.palette[:count])


def voc_colours(count: int) -> tuple[RGB, ...]:
    """PASCAL VOC's colours: the bits of the label, dealt out in turn to the high bits of red, green and blue."""

    def colour(label: int) -> RGB:
        red = green = blue = 0
        for bit in range(7, -1, -1):
            red |= (label & 1) << bit
            green |= (label >> 1 & 1) << bit
            blue |= (label >> 2 & 1) << bit
            label >>= 3
        return red, green, blue

    return tuple(colour(label) for label in range(count))


CAMVID = ClassSet(
    names=(
        "sky", "building", "pole", "road", "pavement", "tree",
        "sign", "fence", "car", "pedestrian", "cyclist", "void",
    ),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
    ),
)  # fmt: skip

CITYSCAPES = ClassSet(
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

VOC = ClassSet(
    names=(
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
    ),
    palette=voc_colours(21),
)  # fmt: skip

_BY_DATASET = {"camvid": CAMVID, "cityscapes": CITYSCAPES, "voc": VOC}


def class_set(dataset: str | None, count: int) -> ClassSet:
    """The classes of `dataset` ("camvid", "cityscapes", "voc") cut to `count`; numbered ones where that does not fit.

    CamVid has 12 labels in the published files (index 11 is void) and 11 in the paper's score: both are served.
    """
    known = _BY_DATASET.get(dataset or "")
    if known is not None and count <= len(known):
        return known.first(count)
    return ClassSet(tuple(f"class {label}" for label in range(count)), voc_colours(count))

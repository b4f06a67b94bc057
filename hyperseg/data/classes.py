"""Names and colours of the classes of each data set, in the order of the networks' outputs.

Sources: CamVid's `label_colors.txt` grouped into the 11 classes that papers score, Cityscapes' `labels.py` (train ids),
and PASCAL VOC's colour map.
"""

from __future__ import annotations

from dataclasses import dataclass

VOID = 255
"""Label of pixels that are neither trained on nor scored."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Classes:
    """The classes of a data set: `names[k]` and the RGB colour `colours[k]` of label k."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __len__(self) -> int:
        return len(self.names)


CAMVID_11 = Classes(
    ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist"),
    (
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)

CAMVID_12 = Classes((*CAMVID_11.names, "void"), (*CAMVID_11.colours, (0, 0, 0)))

CITYSCAPES = Classes(
    (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)


def _voc_colour(index: int) -> Colour:
    """PASCAL's rule: the bits of the index, three at a time, fill the colour's channels from the top bit down."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return (channels[0], channels[1], channels[2])


_VOC_NAMES = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorbike,person,"
    "potted plant,sheep,sofa,train,tv monitor"
)
VOC = Classes(tuple(_VOC_NAMES.split(",")), tuple(_voc_colour(index) for index in range(21)))

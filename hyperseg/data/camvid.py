"""CamVid, in its two common layouts.

*Index labels* (480x360, the SegNet split): `train/`, `trainannot/`, `val/`, `valannot/`, `test/`, `testannot/`; labels
are PNG files of class indices 0..10, 11 and 255 being void.

*Colour labels* (the original 701 pictures, 960x720): `images/NAME.png` and `labels/NAME_L.png` in CamVid's 32 colours,
with `train.txt`, `val.txt` and `test.txt` listing names, or the folders `train/`, `train_labels/` and so on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hyperseg.data.classes import CAMVID_11, CAMVID_12, VOID, Colour
from hyperseg.data.errors import DataError
from hyperseg.data.files import match, pictures, require_folder
from hyperseg.data.sample import Decoder, LabelledPictures, Pair, Pixels, index_decoder

SPLITS = ("train", "val", "test")

GROUPS: dict[str, tuple[Colour, ...]] = {
    "sky": ((128, 128, 128),),
    "building": ((128, 0, 0), (0, 128, 64), (192, 0, 128), (64, 192, 0), (128, 0, 64)),
    "pole": ((192, 192, 128), (0, 0, 64)),
    "road": ((128, 64, 128), (128, 0, 192), (192, 0, 64)),
    "pavement": ((0, 0, 192), (64, 192, 128), (128, 128, 192)),
    "tree": ((128, 128, 0), (192, 192, 0)),
    "sign": ((192, 128, 128), (128, 128, 64), (0, 64, 64)),
    "fence": ((64, 64, 128),),
    "car": ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    "pedestrian": ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),
    "cyclist": ((0, 128, 192), (192, 0, 192)),
    "void": ((0, 0, 0), (64, 0, 64)),
}
"""CamVid's 32 colours grouped into the scored classes: cars with trucks and buses, walls with buildings, and so on."""


def index_labels(root: Path, split: str) -> LabelledPictures:
    """The 480x360 layout: 11 classes, void ignored."""
    _check_split(split)
    images, labels = require_folder(root / split), require_folder(root / f"{split}annot")
    table = np.full(256, 254, np.uint8)
    table[:11] = np.arange(11)
    table[[11, VOID]] = VOID
    pairs = [Pair(*found) for found in match(pictures(images), pictures(labels))]
    return LabelledPictures(CAMVID_11, pairs, index_decoder(table, len(CAMVID_11)))


def colour_labels(root: Path, split: str, num_classes: int = 11) -> LabelledPictures:
    """The original layout: 11 classes, or 12 with void as a class of its own, as the published networks have it."""
    _check_split(split)
    if (root / f"{split}_labels").is_dir():
        images, labels = pictures(require_folder(root / split)), pictures(root / f"{split}_labels")
    else:
        names = _listed(root / f"{split}.txt")
        images = _chosen(pictures(require_folder(root / "images")), names, root / "images")
        labels = _chosen(pictures(require_folder(root / "labels")), [f"{name}_L" for name in names], root / "labels")
    pairs = [Pair(*found) for found in match(images, labels, label_suffix="_L")]
    classes = CAMVID_12 if num_classes == 12 else CAMVID_11
    return LabelledPictures(classes, pairs, colour_decoder(num_classes))


def colour_decoder(num_classes: int) -> Decoder:
    """A decoder of CamVid's colours; void is class 11 of 12, or ignored when there are 11."""
    table = np.full(1 << 24, 254, np.uint8)
    for index, colours in enumerate(GROUPS.values()):
        for red, green, blue in colours:
            table[red << 16 | green << 8 | blue] = index if index < num_classes else VOID

    def decode(pixels: Pixels, path: Path) -> Pixels:
        if pixels.ndim != 3:
            raise DataError(f"{path} has one channel; this layout's labels are colour pictures (see label_colors.txt)")
        code = pixels[..., 2].astype(np.int32) << 16 | pixels[..., 1].astype(np.int32) << 8 | pixels[..., 0]
        label: Pixels = table[code]
        if (label == 254).any():
            blue, green, red = (int(value) for value in pixels[label == 254][0][:3])
            raise DataError(f"{path} has the colour ({red}, {green}, {blue}), which is none of CamVid's 32")
        return label

    return decode


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise DataError(f"CamVid has no split {split!r}; use one of {', '.join(SPLITS)}")


def _listed(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path} is missing: it lists the names of the split, one a line")
    names = [Path(line.split()[0]).stem for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path} lists no pictures")
    return names


def _chosen(files: dict[str, Path], names: list[str], folder: Path) -> dict[str, Path]:
    missing = [name for name in names if name not in files]
    if missing:
        raise DataError(f"{folder} lacks {len(missing)} of {len(names)} listed pictures, {missing[0]} first")
    return {name: files[name] for name in names}

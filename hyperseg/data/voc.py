"""PASCAL VOC 2012 segmentation, with SBD's labels.

The root is the devkit's `VOC2012` folder: `JPEGImages/`, `SegmentationClass/`, `ImageSets/Segmentation/*.txt`. The
split `trainaug` (10,582 pictures) needs SBD as well: its labels as PNG files in `SegmentationClassAug/`, and
`ImageSets/Segmentation/trainaug.txt`; the original `SegmentationClass/` is preferred where it has the picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hyperseg.data.classes import VOC, VOID, Classes
from hyperseg.data.errors import DataError
from hyperseg.data.files import require_folder
from hyperseg.data.sample import LabelledPictures, Pair, Pixels, index_decoder


def segmentation(root: Path, split: str) -> LabelledPictures:
    """Open a split listed under `ImageSets/Segmentation`."""
    listing = require_folder(root / "ImageSets" / "Segmentation") / f"{split}.txt"
    if not listing.is_file():
        known = ", ".join(sorted(path.stem for path in listing.parent.glob("*.txt"))) or "none"
        raise DataError(f"{listing} is missing: VOC has no split {split!r} here (there are: {known})")
    names = listing.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(f"{listing} lists no pictures")
    images = require_folder(root / "JPEGImages")
    labels = [require_folder(root / "SegmentationClass"), root / "SegmentationClassAug"]
    pairs = [Pair(name, images / f"{name}.jpg", _label(name, labels, listing)) for name in names]
    missing = [pair.image for pair in pairs if not pair.image.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(names)} pictures in {listing.name} are missing, {missing[0]} first"
        )
    return LabelledPictures(VOC, pairs, decode)


def _label(name: str, folders: list[Path], listing: Path) -> Path:
    for folder in folders:
        if (folder / f"{name}.png").is_file():
            return folder / f"{name}.png"
    hint = "" if folders[1].is_dir() else f"; SBD's labels belong in {folders[1]}"
    raise DataError(f"the label {name}.png of {listing.name} is missing from {folders[0]}{hint}")


def decode(pixels: Pixels, path: Path) -> Pixels:
    """VOC's own files are colour-mapped PNGs, SBD's are plain indices: accept both."""
    if pixels.ndim == 3:
        pixels = _indices(np.asarray(pixels[..., 2::-1], np.uint8), VOC, path)
    return _decode_indices(pixels, path)


def _indices(pixels: Pixels, classes: Classes, path: Path) -> Pixels:
    table = np.full(1 << 24, 254, np.uint8)
    for index, (red, green, blue) in enumerate(classes.colours):
        table[red << 16 | green << 8 | blue] = index
    table[224 << 16 | 224 << 8 | 192] = VOID
    code = pixels[..., 0].astype(np.int32) << 16 | pixels[..., 1].astype(np.int32) << 8 | pixels[..., 2]
    label: Pixels = table[code]
    if (label == 254).any():
        raise DataError(
            f"{path} has the colour {tuple(map(int, pixels[label == 254][0]))}, which is not in VOC's colour map"
        )
    return label


_TABLE = np.full(256, 254, np.uint8)
_TABLE[:21] = np.arange(21)
_TABLE[VOID] = VOID
_decode_indices = index_decoder(_TABLE, len(VOC))

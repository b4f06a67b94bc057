"""Cityscapes: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` with `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hyperseg.data.classes import CITYSCAPES, VOID
from hyperseg.data.errors import DataError
from hyperseg.data.files import match, require_folder
from hyperseg.data.sample import LabelledPictures, Pair, index_decoder

TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label ids of the 19 scored classes; every other id from 0 to 33 is void."""

_IMAGE, _LABEL = "_leftImg8bit", "_gtFine_labelIds"


def fine_labels(root: Path, split: str) -> LabelledPictures:
    """Open a split of the finely labelled pictures (train, val, test; the labels of test are all void)."""
    if split not in ("train", "val", "test"):
        raise DataError(f"Cityscapes has no split {split!r}; use train, val or test")
    images = _by_city(require_folder(root / "leftImg8bit" / split), _IMAGE)
    labels = _by_city(require_folder(root / "gtFine" / split), _LABEL)
    table = np.full(256, 254, np.uint8)
    table[:34] = VOID
    table[VOID] = VOID
    table[list(TRAIN_IDS)] = np.arange(19)
    return LabelledPictures(CITYSCAPES, [Pair(*found) for found in match(images, labels)], index_decoder(table, 19))


def _by_city(folder: Path, suffix: str) -> dict[str, Path]:
    found = {path.stem.removesuffix(suffix): path for path in sorted(folder.glob(f"*/*{suffix}.png"))}
    if not found:
        raise DataError(f"{folder} holds no CITY/*{suffix}.png")
    return found

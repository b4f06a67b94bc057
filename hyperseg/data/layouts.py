"""The data sets by name."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from hyperseg.data import camvid, cityscapes, voc
from hyperseg.data.errors import DataError
from hyperseg.data.files import require_folder
from hyperseg.data.sample import ConcatDataset, DataSet


class Layout(str, Enum):
    """A data set in one of its layouts on disk."""

    CAMVID = "camvid"
    """480x360, index labels, 11 classes."""
    CAMVID_701_11 = "camvid-701-11"
    """960x720, colour labels, 11 classes."""
    CAMVID_701_12 = "camvid-701-12"
    """960x720, colour labels, void as class 11."""
    CITYSCAPES = "cityscapes"
    VOC = "voc"
    """VOC 2012, with SBD's labels where they are present."""


def open_split(layout: Layout, root: Path, split: str) -> DataSet:
    """Open one split; raises `DataError` that names what is missing."""
    require_folder(root)
    match layout:
        case Layout.CAMVID:
            return camvid.index_labels(root, split)
        case Layout.CAMVID_701_11:
            return camvid.colour_labels(root, split, 11)
        case Layout.CAMVID_701_12:
            return camvid.colour_labels(root, split, 12)
        case Layout.CITYSCAPES:
            return cityscapes.fine_labels(root, split)
        case Layout.VOC:
            return voc.segmentation(root, split)


def open_splits(layout: Layout, root: Path, splits: Sequence[str]) -> DataSet:
    """Open several splits as one data set."""
    if not splits:
        raise DataError("no split was named; use for example train or train+val")
    parts = tuple(open_split(layout, root, split) for split in splits)
    return parts[0] if len(parts) == 1 else ConcatDataset(parts)

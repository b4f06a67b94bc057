"""Data sets, augmentation and batches. Imports no torch."""

from hyperseg.data.augment import Augmentation, ScaleOf
from hyperseg.data.batches import Batch, Crop, Plan, Source, prefetched
from hyperseg.data.classes import CAMVID_11, CAMVID_12, CITYSCAPES, VOC, VOID, Classes
from hyperseg.data.errors import DataError
from hyperseg.data.layouts import Layout, open_split, open_splits
from hyperseg.data.sample import Cached, ConcatDataset, DataSet, LabelledPictures, Sample

__all__ = [
    "CAMVID_11",
    "CAMVID_12",
    "CITYSCAPES",
    "VOC",
    "VOID",
    "Augmentation",
    "Batch",
    "Cached",
    "Classes",
    "ConcatDataset",
    "Crop",
    "DataError",
    "DataSet",
    "LabelledPictures",
    "Layout",
    "Plan",
    "Sample",
    "ScaleOf",
    "Source",
    "open_split",
    "open_splits",
    "prefetched",
]

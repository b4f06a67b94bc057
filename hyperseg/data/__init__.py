"""Datasets, augmentation and batches. Needs no PyTorch."""

from hyperseg.classes import CAMVID_11, CAMVID_12, CITYSCAPES, VOC, VOID, Classes, class_set
from hyperseg.data.augment import Augmentation, ScaleOf
from hyperseg.data.batches import Batch, BatchSampler, BatchSource, Crop, prefetch
from hyperseg.data.dataset import CachedDataset, ConcatDataset, Dataset, LabelledImages, Sample, files_of, label_files
from hyperseg.data.layouts import Layout, open_split, open_splits, splits_in
from hyperseg.data.own import OwnDataset, find_own
from hyperseg.data.reading import Pixels
from hyperseg.errors import DataError

__all__ = [
    "CAMVID_11",
    "CAMVID_12",
    "CITYSCAPES",
    "VOC",
    "VOID",
    "Augmentation",
    "Batch",
    "BatchSampler",
    "BatchSource",
    "CachedDataset",
    "Classes",
    "ConcatDataset",
    "Crop",
    "DataError",
    "Dataset",
    "LabelledImages",
    "Layout",
    "OwnDataset",
    "Pixels",
    "Sample",
    "ScaleOf",
    "class_set",
    "files_of",
    "find_own",
    "label_files",
    "open_split",
    "open_splits",
    "prefetch",
    "splits_in",
]

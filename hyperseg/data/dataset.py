"""Labelled images: samples, the dataset protocol, and datasets that read pairs of files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hyperseg.classes import VOID, Classes
from hyperseg.data.label_error import LabelValueError, count_values
from hyperseg.data.reading import IMAGE_SUFFIXES, Pixels, is_turned, read_image, read_label
from hyperseg.errors import DataError


@dataclass(frozen=True)
class Sample:
    """A labelled image: `image` uint8 [H, W, 3] RGB, `label` uint8 [H, W] of class indices or `VOID`."""

    name: str
    image: Pixels
    label: Pixels


class Dataset(Protocol):
    """A sequence of labelled images."""

    @property
    def classes(self) -> Classes: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Pair:
    """Image file and label file of one sample."""

    name: str
    image: Path
    label: Path


LabelReader = Callable[[Path], Pixels]
"""Reads a label file as class indices uint8 [H, W], `VOID` among them; `DataError` on unknown values."""

LabelDecoder = Callable[[Pixels, Path], Pixels]
"""Maps the pixels of a label file (uint8 [H, W] or BGR [H, W, 3]) to class indices; `DataError` on unknown values."""


def label_reader(decode: LabelDecoder, indexed: bool = False) -> LabelReader:
    """Reader of labels by a decoder. `indexed`: of a PNG with a palette, the indices are read and not the colours."""
    return lambda path: decode(read_label(path, indexed), path)


@dataclass(frozen=True)
class LabelledImages:
    """Dataset of image and label files, with the reader of its labels."""

    classes: Classes
    pairs: Sequence[Pair]
    read_label: LabelReader

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        image, label = read_image(pair.image), self.read_label(pair.label)
        if image.shape[:2] != label.shape[:2]:
            raise DataError(sizes_differ(pair, image, label))
        return Sample(pair.name, image, label)


def sizes_differ(pair: Pair, image: Pixels, label: Pixels) -> str:
    """The error on an image and a label of different sizes."""
    text = (
        f"{pair.image} is {image.shape[1]}x{image.shape[0]} but its label {pair.label} is "
        f"{label.shape[1]}x{label.shape[0]}; both must be the same size"
    )
    if image.shape[1::-1] == label.shape[:2] and is_turned(pair.image, image):
        text += (
            " (the image has an EXIF orientation, by which it is turned as in every viewer, but the label is not; "
            "turn the label as well, or save the image without the orientation)"
        )
    return text


def index_decoder(table: NDArray[np.uint8], num_classes: int) -> LabelDecoder:
    """Create a decoder of single-channel labels: `table` (256 entries) maps file values to class indices.

    Entries that are neither a class nor `VOID` mark values that must not occur.
    """

    def decode(pixels: Pixels, path: Path) -> Pixels:
        if pixels.ndim != 2:
            raise DataError(f"{path} has {pixels.shape[2]} channels; labels must be one channel of class indices")
        label = np.asarray(table[pixels], np.uint8)
        wrong = (label >= num_classes) & (label != VOID)
        if wrong.any():
            raise LabelValueError(path, count_values(pixels[wrong]), "which is not a class of this dataset")
        return label

    return decode


class CachedDataset:
    """Dataset that caches decoded samples in memory, up to `limit_bytes`; the others are read each time."""

    def __init__(self, source: Dataset, limit_bytes: int = 4 << 30) -> None:
        self.source = source
        self._room = limit_bytes
        self._samples: dict[int, Sample] = {}

    @property
    def classes(self) -> Classes:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        found = self._samples.get(index)
        if found is not None:
            return found
        sample = self.source[index]
        size = sample.image.nbytes + sample.label.nbytes
        if size <= self._room:
            self._room -= size
            self._samples[index] = sample
        return sample


@dataclass(frozen=True)
class ConcatDataset:
    """Concatenation of datasets with the same classes."""

    parts: tuple[Dataset, ...]

    @property
    def classes(self) -> Classes:
        return self.parts[0].classes

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Sample:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def files_of(dataset: Dataset) -> Iterator[Path]:
    """List the image and label files of a dataset of this module."""
    match dataset:
        case ConcatDataset():
            for part in dataset.parts:
                yield from files_of(part)
        case LabelledImages():
            for pair in dataset.pairs:
                yield pair.image
                yield pair.label


def label_files(dataset: Dataset) -> Iterator[Callable[[], Pixels]]:
    """For each sample in order, a function that reads its label, and not its image where the dataset's files allow."""
    match dataset:
        case ConcatDataset():
            for part in dataset.parts:
                yield from label_files(part)
        case LabelledImages():
            for pair in dataset.pairs:
                yield functools.partial(dataset.read_label, pair.label)
        case CachedDataset():
            yield from label_files(dataset.source)
        case _:
            for index in range(len(dataset)):
                yield functools.partial(_label_of, dataset, index)


def _label_of(dataset: Dataset, index: int) -> Pixels:
    return dataset[index].label


class MissingFolderError(DataError):
    """A folder that a layout has is missing; the message names the missing part of the path."""


def require_folder(folder: Path) -> Path:
    """Return the folder, or raise a `MissingFolderError`."""
    if folder.is_dir():
        return folder
    first = folder
    while not first.parent.is_dir():
        first = first.parent
    raise MissingFolderError(
        f"the folder {folder} is missing" + ("" if first == folder else f" ({first} does not exist)")
    )


def image_files(folder: Path) -> dict[str, Path]:
    """List the image files of a folder by name without suffix, sorted.

    Hidden files are left out, also the companions `._NAME` that macOS writes on foreign file systems. Two images of one
    name, such as `a.png` and `a.jpg`, are a `DataError`: only one of them has the label.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and is_visible(path))
    if not found:
        raise DataError(f"{folder} has no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return by_name(found)


def is_visible(path: Path) -> bool:
    """Whether this is a file, or a link, that is not hidden."""
    return not path.name.startswith(".") and not path.is_dir()


def by_name(paths: Iterable[Path], suffix: str = "") -> dict[str, Path]:
    """Files by name, without `suffix` and the file's suffix; a `DataError` names two of one name."""
    return _unique((path.stem.removesuffix(suffix), path) for path in paths)


def _unique(files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for name, path in files:
        other = named.setdefault(name, path)
        if other is not path:
            raise DataError(f"{other} and {path} are both named {name}; remove the one that does not belong there")
    return named


def pair_files(images: dict[str, Path], labels: dict[str, Path], label_suffix: str = "") -> list[Pair]:
    """Pair images with labels of the same name (plus `label_suffix`); raises `DataError` if one has no counterpart."""
    by_image = _unique((name.removesuffix(label_suffix), path) for name, path in labels.items())
    unlabelled = [path for name, path in images.items() if name not in by_image]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled)} of {len(images)} images have no label, {unlabelled[0]} first; "
            "add the labels, or remove the images"
        )
    orphans = [path for name, path in by_image.items() if name not in images]
    if orphans:
        raise DataError(
            f"{len(orphans)} of {len(labels)} labels have no image, {orphans[0]} first; "
            "add the images, or remove the labels"
        )
    return [Pair(name, path, by_image[name]) for name, path in images.items()]

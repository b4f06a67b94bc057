"""Pictures with labels: what every data set hands out, whatever its layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg.data.classes import VOID, Classes
from hyperseg.data.errors import DataError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """One labelled picture: `image` uint8 [H, W, 3] RGB, `label` uint8 [H, W] of class indices or `VOID`."""

    name: str
    image: Pixels
    label: Pixels


class DataSet(Protocol):
    """A sequence of labelled pictures."""

    @property
    def classes(self) -> Classes: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Pair:
    """The two files of one sample."""

    name: str
    image: Path
    label: Path


Decoder = Callable[[Pixels, Path], Pixels]
"""From a label file's pixels (uint8 [H, W] or BGR [H, W, 3]) to class indices; `DataError` on unknown values."""


@dataclass(frozen=True)
class LabelledPictures:
    """Pairs of files with the decoder of their labels."""

    classes: Classes
    pairs: Sequence[Pair]
    decode: Decoder
    label_flags: int = field(default=cv2.IMREAD_UNCHANGED)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        image = cv2.cvtColor(read_pixels(pair.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        label = self.decode(read_pixels(pair.label, self.label_flags), pair.label)
        if image.shape[:2] != label.shape[:2]:
            raise DataError(
                f"{pair.image} is {image.shape[1]}x{image.shape[0]} but its label {pair.label} is "
                f"{label.shape[1]}x{label.shape[0]}; both must be the same size"
            )
        return Sample(pair.name, np.asarray(image, np.uint8), label)


def read_pixels(path: Path, flags: int) -> Pixels:
    """Read a picture file, or raise a `DataError` that names it."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags) if path.stat().st_size else None
    if pixels is None:
        raise DataError(f"{path} is not a readable picture; fetch it again")
    return np.asarray(pixels, np.uint8)


def index_decoder(table: NDArray[np.uint8], num_classes: int) -> Decoder:
    """A decoder for single-channel labels: `table` (256 entries) maps file values to class indices.

    Entries that are neither a class nor `VOID` mark values that must not occur.
    """

    def decode(pixels: Pixels, path: Path) -> Pixels:
        if pixels.ndim != 2:
            raise DataError(f"{path} has {pixels.shape[2]} channels; labels must be one channel of class indices")
        label = np.asarray(table[pixels], np.uint8)
        wrong = (label >= num_classes) & (label != VOID)
        if wrong.any():
            raise DataError(
                f"{path} has the label value {int(pixels[wrong][0])}, which is not a class of this data set"
            )
        return label

    return decode


class Cached:
    """A data set whose decoded samples stay in memory up to `limit_bytes`; later ones are read anew each time."""

    def __init__(self, source: DataSet, limit_bytes: int = 4 << 30) -> None:
        self._source = source
        self._room = limit_bytes
        self._samples: dict[int, Sample] = {}

    @property
    def classes(self) -> Classes:
        return self._source.classes

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        found = self._samples.get(index)
        if found is not None:
            return found
        sample = self._source[index]
        size = sample.image.nbytes + sample.label.nbytes
        if size <= self._room:
            self._room -= size
            self._samples[index] = sample
        return sample


@dataclass(frozen=True)
class ConcatDataset:
    """Several data sets of the same classes, one after the other."""

    parts: tuple[DataSet, ...]

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

"""Datasets of a run: the splits that a recipe names, and images held out where there is none to validate on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperseg.checkpoint.states import Note
from hyperseg.data import CachedDataset, Classes, ConcatDataset, Dataset, Sample, open_split, splits_in
from hyperseg.training.recipe import Data


@dataclass(frozen=True)
class TrainingData:
    """Datasets of a run; `late` includes the late splits, and replaces `train` towards the end."""

    train: Dataset
    late: Dataset
    validation: Dataset


@dataclass(frozen=True)
class Part:
    """Some of the samples of a dataset."""

    source: Dataset
    indices: tuple[int, ...]

    @property
    def classes(self) -> Classes:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.source[self.indices[index]]


def open_data(data: Data, seed: int, root: Path, note: Note) -> TrainingData:
    """Open the splits that a recipe names, each with one cache.

    With `hold_out`, a dataset without the split to validate on gives some of its training images, the same at every
    start, and one with a single split is trained on that.
    """
    known = splits_in(data.layout, root) if data.hold_out else ()
    fitted = data.fitted(known)
    if fitted is not data:
        note(f"the data have one split, {known[0]}, which is trained on")
        data = fitted
    opened: dict[str, Dataset] = {}
    for split in data.needed(known):
        if split not in opened:
            opened[split] = CachedDataset(open_split(data.layout, root, split))
    train = _joined(opened, data.train)
    if data.holds_out(known):
        return _divided(train, data, seed, note)
    return TrainingData(train, _joined(opened, (*data.train, *data.late)), opened[data.validate])


def _joined(opened: dict[str, Dataset], names: Sequence[str]) -> Dataset:
    parts = tuple(opened[name] for name in names)
    return parts[0] if len(parts) == 1 else ConcatDataset(parts)


def _divided(train: Dataset, data: Data, seed: int, note: Note) -> TrainingData:
    """Hold out images that a permutation by the seed puts first."""
    count = len(train)
    lacking = "other split" if data.validate in data.train else f"split {data.validate}"
    held = min(max(1, round(count * data.hold_out)), count - 1)
    if count == 1:
        note(f"the data have no {lacking} and one image, which validates as well: its score means little")
        return TrainingData(train, train, train)
    order = [int(index) for index in np.random.default_rng((seed, count)).permutation(count)]
    note(f"the data have no {lacking}: {held} of the {count} images are held out to validate on")
    kept = Part(train, tuple(sorted(order[held:])))
    return TrainingData(kept, kept, Part(train, tuple(sorted(order[:held]))))

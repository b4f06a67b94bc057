"""Reads a whole data set before it is trained on: what each class has, and every file that would stop the training."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.classes import VOID, Classes
from hyperseg.data.dataset import ConcatDataset, Dataset, LabelledImages, Pair, sizes_differ
from hyperseg.data.label_error import LabelValueError
from hyperseg.data.layouts import Layout, open_split, splits_in
from hyperseg.data.own import OwnDataset, find_own
from hyperseg.data.reading import is_turned, read_image
from hyperseg.data.split_files import shown
from hyperseg.errors import DataError

Counts = NDArray[np.int64]
Needed = Callable[[Sequence[str]], Iterable[str]]
"""The splits of those that a data set has, or others, that a training would open."""
Progress = Callable[[int, int], None]
"""Receives the number of images read, and of all."""


@dataclass(frozen=True)
class Fault:
    """What prevents training.

    Attributes:
        split: the split it was found in; None: the data set as a whole.
        problem: a sentence that names the file and the remedy.
        file: the file, if it is a single one.
        values: of a label with values or colours that no class has: its pixels by value.
    """

    problem: str
    split: str | None = None
    file: Path | None = None
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckedImage:
    """An image that can be used.

    Attributes:
        pair: its files.
        counts: pixels per class index, int64 [256], `VOID` among them.
        size: (height, width).
        digest: hash of the image file.
        turned: whether its EXIF orientation turned or mirrored it.
    """

    pair: Pair
    counts: Counts
    size: tuple[int, int]
    digest: bytes
    turned: bool = False


@dataclass(frozen=True)
class CheckedSplit:
    """A split with those of its images that can be used."""

    name: str
    data: LabelledImages
    images: tuple[CheckedImage, ...]

    @property
    def pixels(self) -> Counts:
        """Pixels per class index, int64 [256]."""
        return sum((image.counts for image in self.images), np.zeros(256, np.int64))

    @property
    def images_with(self) -> Counts:
        """Images that have a class, int64 [256]."""
        return sum(((image.counts > 0).astype(np.int64) for image in self.images), np.zeros(256, np.int64))

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """Images by (height, width)."""
        return Counter(image.size for image in self.images)


@dataclass(frozen=True)
class CheckReport:
    """Result of a check. Training is possible where there are no faults."""

    root: Path
    classes: Classes | None
    splits: tuple[CheckedSplit, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def check_dataset(
    root: Path, layout: Layout, needed: Needed | None = None, progress: Progress | None = None, workers: int = 2
) -> CheckReport:
    """Read every image and label of a data set, in `workers` threads; faults are collected and never raised.

    `needed` are splits that must be there; the others are those that the data set has. Where it is None, the usual ones
    that are missing are noted.
    """
    faults: list[Fault] = []
    notes: list[str] = []
    opened: dict[str, LabelledImages] = {}
    own = None
    try:
        own = find_own(root)
        known = splits_in(layout, root)
        names = dict.fromkeys((*known, *(needed(known) if needed else ())))
    except (DataError, OSError) as error:
        return CheckReport(root, own.classes if own else None, (), (Fault(str(error)),), ())
    for name in names or ("train",):  # of a folder with nothing, opening a split says what is missing
        try:
            opened[name] = _opened(own, layout, root, name, faults, notes)
        except (DataError, OSError) as error:
            faults.append(Fault(str(error), name))
    splits = _read(opened, faults, progress, workers)
    classes = own.classes if own else next((data.classes for data in opened.values()), None)
    if classes is not None:
        notes += _notes(classes, splits, own)
        notes += _missing(tuple(own.splits)) if own and not needed else ()
    return CheckReport(root, classes, splits, tuple(faults), tuple(notes))


def _opened(
    own: OwnDataset | None, layout: Layout, root: Path, name: str, faults: list[Fault], notes: list[str]
) -> LabelledImages:
    if own is None:
        return _as_files(open_split(layout, root, name))
    files = own.files(name)
    faults += [Fault(problem, name) for problem in files.faults]
    notes += [f"{name}: {note}" for note in files.notes]
    if not files.pairs and not files.faults:
        raise DataError(f"the split {name} of {own.description.file} has no images")
    return own.labelled(files)


def _as_files(data: Dataset) -> LabelledImages:
    assert isinstance(data, LabelledImages) and not isinstance(data, ConcatDataset)
    return data


def _read(
    opened: Mapping[str, LabelledImages], faults: list[Fault], progress: Progress | None, workers: int
) -> tuple[CheckedSplit, ...]:
    total, done = sum(map(len, opened.values())), 0
    splits = []
    with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        for name, data in opened.items():
            images = []
            for image, problems in _in_order(pool, name, data):
                done += 1
                if progress is not None:
                    progress(done, total)
                faults += problems
                if image is not None:
                    images.append(image)
            splits.append(CheckedSplit(name, data, tuple(images)))
    return tuple(splits)


def _in_order(
    pool: ThreadPoolExecutor, name: str, data: LabelledImages
) -> Iterator[tuple[CheckedImage | None, list[Fault]]]:
    try:
        yield from pool.map(lambda pair: _examine(name, data, pair), data.pairs)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _examine(split: str, data: LabelledImages, pair: Pair) -> tuple[CheckedImage | None, list[Fault]]:
    """Read one pair: both files, so that a fault of the one hides none of the other."""
    faults: list[Fault] = []
    image = label = None
    try:
        image = read_image(pair.image)
    except DataError as error:
        faults.append(Fault(str(error), split, pair.image))
    try:
        label = data.read_label(pair.label)
    except LabelValueError as error:
        faults.append(Fault(str(error), split, error.file, error.counts))
    except DataError as error:
        faults.append(Fault(str(error), split, pair.label))
    if image is None or label is None:
        return None, faults
    if image.shape[:2] != label.shape[:2]:
        return None, [Fault(sizes_differ(pair, image, label), split, pair.label)]
    digest = hashlib.blake2b(pair.image.read_bytes(), digest_size=16).digest()
    height, width = label.shape[:2]
    counts = np.bincount(label.ravel(), minlength=256)
    return CheckedImage(pair, counts, (height, width), digest, is_turned(pair.image, image)), faults


def _notes(classes: Classes, splits: Sequence[CheckedSplit], own: OwnDataset | None) -> Iterator[str]:
    for split in splits:
        absent = [name for name, count in zip(classes.names, split.pixels[: len(classes)], strict=True) if not count]
        if absent and split.images:
            yield f"{split.name}: no pixel of {shown(absent, 10)}"
        void = [image.pair.label for image in split.images if not image.counts[:VOID].any()]
        if void:
            yield f"{split.name}: {len(void):,} label{'s' * (len(void) != 1)} without a labelled pixel: {shown(void)}"
        turned = [image.pair.image for image in split.images if image.turned]
        if turned:
            yield (
                f"{split.name}: {len(turned):,} image{'s' * (len(turned) != 1)} turned by an EXIF orientation, "
                f"which labels are not; look whether they fit: {shown(turned)}"
            )
    if own is not None and _looks_like_a_mask(splits, own):
        yield (
            "the only values are 0 and 255, and 255 is void: if these are masks of two classes, "
            "set values = [0, 255] in dataset.toml"
        )
    yield from _overlaps(splits)


def _missing(known: Sequence[str]) -> Iterator[str]:
    """Which of the splits that recipes name are not among those of a data set of one's own."""
    for name, key, instead in (
        ("train", 'train=["{}"]', "finetune trains on a single split"),
        ("val", 'validate="{}"', "finetune holds images out"),
    ):
        if name not in known:
            yield (
                f"there is no split {name!r}, which recipes use unless they name another, as by "
                f"--set 'data.{key.format(known[-1])}' (there are: {', '.join(known)}); {instead}"
            )


def _looks_like_a_mask(splits: Sequence[CheckedSplit], own: OwnDataset) -> bool:
    """Whether two classes were meant by 0 and 255, of which the latter is void unless `values` says otherwise."""
    pixels = sum((split.pixels for split in splits), np.zeros(256, np.int64))
    described = own.description
    usual = described.void == (VOID,) and described.values == (0, 1)
    return bool(usual and set(np.flatnonzero(pixels).tolist()) == {0, VOID})


def _overlaps(splits: Sequence[CheckedSplit]) -> Iterator[str]:
    """Images that several splits have, by content: what was trained on scores too high."""
    by_digest = {split.name: {image.digest: image.pair.name for image in split.images} for split in splits}
    names = list(by_digest)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            both = [by_digest[first][digest] for digest in by_digest[first] if digest in by_digest[second]]
            if both:
                yield f"{len(both):,} image{'s are' if len(both) > 1 else ' is'} in {first} and {second}: {shown(both)}"

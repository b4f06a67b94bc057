"""Labelled clips: a video or a folder of frames, with a label PNG for every frame, and the scores of a model on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.image_files import read_image
from hyperseg_runtime.media import IMAGE_SUFFIXES
from hyperseg_runtime.motion import MotionEstimator, Small, small
from hyperseg_runtime.preprocess import Labels
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.stabiliser import Stabiliser
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import SourceFrame

from hyperseg.data import VOID, DataError, Pixels
from hyperseg.data.description import FILE_NAME, Description, read_description
from hyperseg.data.label_values import OwnLabels
from hyperseg.data.reading import read_label
from hyperseg.metrics import Confusion
from hyperseg_export.evaluation.class_order import order_of, reordering
from hyperseg_export.evaluation.flicker import WINDOWS, TemporalConsistency
from hyperseg_export.progress import Part


@dataclass(frozen=True)
class LabelledClip:
    """The files of a clip. Labels belong to frames in the order of their names."""

    clip: Path
    """A video, or a folder of images in the order of their names."""
    label_files: tuple[Path, ...]
    rate: Fraction
    """Frames per second of a folder; a video has its own times."""
    description: Description | None = None
    """The labels' classes and values; None: they are indices of a model's classes."""

    @staticmethod
    def find(clip: Path, labels: Path, rate: Fraction) -> LabelledClip:
        """A `dataset.toml` in the folder of the labels, or beside it, describes them.

        Raises InputError where a folder or its files are missing, a folder's frames are not as many as labels, or the
        description is wrong.
        """
        found = LabelledClip(clip, _files(labels, (".png",), "labels (.png)"), rate, _description(labels))
        if clip.is_dir():
            found._check_count(len(_files(clip, IMAGE_SUFFIXES, "images")))
        elif not clip.exists():
            raise InputError(f"{clip} does not exist; name a video, or a folder of frames (--clip)")
        return found

    def __len__(self) -> int:
        return len(self.label_files)

    def frames(self, classes: int) -> Iterator[tuple[SourceFrame, Pixels]]:
        """Each frame with its label, uint8 [h, w] of indices below `classes`, or VOID; `classes` is that of the
        description, if there is one.

        Raises InputError for what cannot be read or does not fit, in its place.
        """
        number = 0
        for frame in self._images():
            if number == len(self):
                raise InputError(f"{self.clip} has more frames than {self.label_files[0].parent} has labels, {number}")
            file = self.label_files[number]
            label = self._label(file, classes)
            if label.shape != frame.size:
                raise InputError(
                    f"{file} is {label.shape[1]}x{label.shape[0]}, its frame {frame.size[1]}x{frame.size[0]}; both "
                    "must be of one size"
                )
            yield frame, label
            number += 1
        self._check_count(number)

    def _label(self, file: Path, classes: int) -> Pixels:
        if self.description is None:
            return _read_label(file, classes)
        try:
            return OwnLabels(self.description)(file)
        except DataError as error:
            raise InputError(str(error)) from error

    def _images(self) -> Iterator[SourceFrame]:
        if not self.clip.is_dir():
            with closing(VideoReader(str(self.clip))) as reader:
                yield from reader.frames()
                if reader.problems:
                    raise InputError(reader.problems[0])
            return
        for index, path in enumerate(_files(self.clip, IMAGE_SUFFIXES, "images")):
            yield SourceFrame(read_image(path), index, index / self.rate, path.stem, path)

    def _check_count(self, frames: int) -> None:
        if frames != len(self):
            folder = self.label_files[0].parent
            raise InputError(f"{self.clip} has {frames} frames, {folder} {len(self)} labels; every frame needs one")


@dataclass
class ClipScores:
    """The scores of a model on one clip, at the labels' size, void ignored."""

    classes: tuple[str, ...]
    stabilised: float | None
    """Time constant in seconds."""
    confusion: Confusion = field(init=False)
    consistency: TemporalConsistency = field(init=False)

    def __post_init__(self) -> None:
        self.confusion = Confusion(len(self.classes))
        self.consistency = TemporalConsistency(len(self.classes))

    def add(self, truth: Pixels, prediction: Pixels, cut: bool) -> None:
        """Counts the next frame."""
        if cut:
            self.consistency.cut()
        self.confusion.add(truth, prediction)
        self.consistency.add(truth, prediction)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; shares from 0 to 1."""
        iou = self.confusion.iou
        return {
            "stabilised_seconds": self.stabilised,
            "mean_iou": self.confusion.mean_iou,
            "flicker": self.consistency.flicker,
            **{f"vc{window}": self.consistency.consistency(window) for window in WINDOWS},
            "iou": {n: None if np.isnan(v) else float(v) for n, v in zip(self.classes, iou, strict=True)},
        }


def score_clip(
    segmenter: Segmenter,
    clip: LabelledClip,
    stabilise: float | None,
    names: Sequence[str],
    note: Callable[[str], None],
    progress: Part | None = None,
) -> list[ClipScores]:
    """The scores without and, where a time constant is given, with a Stabiliser, of the same runs of the network.

    names: the labels' classes, in the order of their indices. note: see `order_of`.

    Raises InputError, ModelError.
    """
    classes = tuple(names)
    whose = str(clip.label_files[0].parent)
    order = order_of(segmenter.path, segmenter.classes, classes, whose, note)
    table = None if order is None else reordering(order)

    def named(labels: Labels) -> Labels:
        return labels if table is None else table[labels]

    plain = ClipScores(classes, None)
    steady = None if stabilise is None else ClipScores(classes, stabilise)
    stabiliser = None if stabilise is None else Stabiliser(stabilise)
    cuts = _Cuts()
    for number, (frame, truth) in enumerate(clip.frames(len(classes))):
        if progress is not None:
            progress(number + 1, len(clip))
        prepared, cut = segmenter.prepared(frame.image), cuts(frame)
        if steady is None or stabiliser is None:
            plain.add(truth, named(prepared.labels()), cut)
            continue
        found = prepared.logits()
        plain.add(truth, named(found.labels()), cut)
        steady.add(truth, named(found.with_logits(stabiliser(found.logits, frame)).labels()), cut)
    return [plain] if steady is None else [plain, steady]


class _Cuts:
    """Whether each frame begins a new shot."""

    def __init__(self) -> None:
        self._motion, self._past = MotionEstimator(), np.empty((0, 0, 3), np.uint8)

    def __call__(self, frame: SourceFrame) -> bool:
        past: Small = self._past
        self._past = small(frame.image)
        return past.shape != self._past.shape or self._motion(self._past, past).is_cut


def _files(folder: Path, suffixes: Sequence[str], what: str) -> tuple[Path, ...]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    if not found:
        raise InputError(f"{folder} has no {what}")
    return tuple(found)


def _description(labels: Path) -> Description | None:
    for folder in (labels, labels.absolute().parent):
        file = folder / FILE_NAME
        if file.is_file():
            try:
                return read_description(file)
            except DataError as error:
                raise InputError(str(error)) from error
    return None


def _read_label(path: Path, classes: int) -> Pixels:
    try:
        label = read_label(path, indexed=True)
    except DataError as error:
        raise InputError(str(error)) from None
    if label.ndim != 2:
        raise InputError(f"{path} is not an 8-bit PNG of one channel, with a class index in each pixel")
    wrong = label[(label >= classes) & (label != VOID)]
    if wrong.size:
        raise InputError(f"{path} has the value {wrong[0]}; the model has classes 0 to {classes - 1}, {VOID} is void")
    return label

"""Inference on frames: from a prepared image to labels, probabilities and confidence at the frame's own size.

The rule for labels: a frame of the network's input size gets the file's own `labels`. At every other size they are the
largest channel of the network's low-resolution logits, enlarged bilinearly straight to the frame. Sessions that give no
such logits enlarge or shrink the labels themselves by nearest neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.backends.protocol import BackendName, Images, Session
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.fitting import Area, area_of, window_of
from hyperseg_runtime.preprocess import Frame, Labels, Size, batch_labels, check_frame, prepare, restore
from hyperseg_runtime.upsampling import LowLogits, Placement, Window, confidence_at, labels_at, probabilities_at

Probabilities: TypeAlias = NDArray[np.float16]
"""float16 [classes, h, w], or the largest of them, [h, w]."""

ON_GPU = frozenset({BackendName.TENSORRT, BackendName.ONNXRUNTIME_CUDA})


@dataclass(frozen=True)
class FrameLogits:
    """A frame's low-resolution logits, cut to the part that shows it."""

    logits: LowLogits
    """[C, h, w]"""
    placement: Placement
    threads: int | None = None
    """CPU threads for `labels`; None: one for each core."""

    def labels(self) -> Labels:
        """uint8 [H, W] of the frame's size."""
        return labels_at(self.logits, self.placement, self.threads)

    def probabilities(self) -> Probabilities:
        """float16 [C, H, W]"""
        return probabilities_at(self.logits, self.placement)

    def confidence(self) -> Probabilities:
        """float16 [H, W]"""
        return confidence_at(self.logits, self.placement)

    def with_logits(self, logits: LowLogits) -> FrameLogits:
        """The same frame with other logits of this shape."""
        return replace(self, logits=logits)


class PreparedFrame(Protocol):
    """A frame that is ready for the network, which runs when one of the results is asked for."""

    def labels(self) -> Labels:
        """uint8 [h, w] of the frame's size."""

    def labels_or_logits(self) -> Labels | FrameLogits:
        """The labels, or, where another thread may as well compute them on the CPU, their logits."""

    def logits(self) -> FrameLogits:
        """Raises ModelError where the session gives none, InputError where there are none of the whole frame."""

    def probabilities(self) -> Probabilities:
        """float16 [classes, h, w]. Raises ModelError where the session gives no logits."""

    def confidence(self) -> Probabilities:
        """float16 [h, w]. Raises as `probabilities`."""


class Inference(Protocol):
    """A way to segment frames of any size with an open session. May be used from several threads."""

    def prepare(self, frame: Frame) -> PreparedFrame:
        """The stage before the network. Raises InputError for what is no frame."""

    def batch(self, frames: Sequence[Frame]) -> list[Labels]:
        """Each frame's labels, in as few runs as pay. Raises InputError for what is no frame."""


class FrameInference:
    """The `Inference` of whole frames, stretched or letterboxed."""

    def __init__(self, session: Session, size: Size, letterbox: bool, threads: int | None = None) -> None:
        """size: of the network's input."""
        self._session, self._size, self._letterbox, self._threads = session, size, letterbox, threads
        self._low: Size | None = None

    def prepare(self, frame: Frame) -> WholeFrame:
        check_frame(frame)
        size = (frame.shape[0], frame.shape[1])
        area = area_of(size, self._size, self._letterbox)
        return WholeFrame(self, prepare(frame, self._session.metadata.input, self._size, area), size, area)

    def batch(self, frames: Sequence[Frame]) -> list[Labels]:
        labels: dict[int, Labels] = {}
        own = [index for index, frame in enumerate(frames) if frame.shape[:2] == self._size]
        others = [index for index, frame in enumerate(frames) if frame.shape[:2] != self._size]
        count = images_of_a_run(self._session)
        for indices in (own, others) if self._session.gives_low_logits else ([*own, *others],):
            for at in range(0, len(indices), count):
                chunk = indices[at : at + count]
                labels.update(zip(chunk, self.run([self.prepare(frames[index]) for index in chunk]), strict=True))
        return [labels[index] for index in range(len(frames))]

    def run(self, frames: Sequence[WholeFrame]) -> list[Labels]:
        """The labels of the frames of one run: all of the network's input size, or none, or of any size where the
        session gives no logits."""
        images = filled_up(self._session, [frame.image for frame in frames])
        if self._session.gives_low_logits and frames[0].size != self._size:
            placements = [self._placement(frame) for frame in frames]
            placements += [Placement((1, 1))] * (len(images) - len(frames))
            return self._session.run_labels(images, placements)[: len(frames)]
        outputs = batch_labels(self._session.run(images))
        return [_shown(labels, frame) for labels, frame in zip(outputs, frames, strict=False)]

    def logits(self, frame: WholeFrame) -> FrameLogits:
        check_gives_logits(self._session)
        low = self._session.run_low(filled_up(self._session, [frame.image]))[0]
        return _cut(low, self._placement(frame), self._threads)

    def labels_or_logits(self, frame: WholeFrame) -> Labels | FrameLogits:
        if frame.size == self._size or self._session.backend in ON_GPU or not self._session.gives_low_logits:
            return self.run([frame])[0]
        return self.logits(frame)

    def _placement(self, frame: WholeFrame) -> Placement:
        if frame.area.size == self._size:
            return Placement(frame.size)
        if self._low is None:
            self._low = low_size(self._session, self._size)
        return Placement(frame.size, window_of(frame.area, self._size, self._low))


@dataclass(frozen=True)
class WholeFrame:
    """A `PreparedFrame` whose network input shows all of it."""

    inference: FrameInference
    image: Images
    """Of one image: [1, ...]."""
    size: Size
    """Of the frame."""
    area: Area
    """The part of the image that shows the frame."""

    def labels(self) -> Labels:
        return self.inference.run([self])[0]

    def labels_or_logits(self) -> Labels | FrameLogits:
        return self.inference.labels_or_logits(self)

    def logits(self) -> FrameLogits:
        return self.inference.logits(self)

    def probabilities(self) -> Probabilities:
        return self.logits().probabilities()

    def confidence(self) -> Probabilities:
        return self.logits().confidence()


def _shown(labels: Labels, frame: WholeFrame) -> Labels:
    """Labels of a network input at the frame's size, by nearest neighbour where that is another."""
    area = frame.area
    part = labels[area.top : area.top + area.height, area.left : area.left + area.width]
    return restore(np.ascontiguousarray(part), frame.size)


_MOST_IMAGES = 8
"""Of one run on a GPU, whose memory they take; on a CPU several images at once are not faster."""


def images_of_a_run(session: Session) -> int:
    """As many as a model takes that is fixed to a number; of a dynamic one, what is worthwhile."""
    least, most = session.batch_range
    wanted = _MOST_IMAGES if session.backend in ON_GPU else 1
    return max(least, wanted if most is None else min(wanted, most))


def filled_up(session: Session, images: Sequence[Images]) -> Images:
    """The images of one run, the last one repeated where a model is fixed to more."""
    missing = max(0, session.batch_range[0] - len(images))
    joined: Images = np.concatenate([*images, *[images[-1]] * missing]) if len(images) + missing > 1 else images[0]
    return joined


def grey_image(session: Session, size: Size) -> Images:
    """An input for a run whose result does not matter."""
    image = prepare(np.full((*size, 3), 127, np.uint8), session.metadata.input, size)
    return filled_up(session, [image])


def low_size(session: Session, size: Size) -> Size:
    """The size of the low-resolution logits of an input of `size`, from a run."""
    low = session.run_low(grey_image(session, size))
    return low.shape[2], low.shape[3]


def check_gives_logits(session: Session) -> None:
    """Raises ModelError where labels are all that a session gives."""
    if not session.gives_low_logits:
        raise ModelError(
            "this model gives labels alone, and no logits to compute this from; build the engine again, or open its "
            "ONNX file"
        )


def _cut(low: LowLogits, placement: Placement, threads: int | None) -> FrameLogits:
    """The rows and columns of the logits that the window touches."""
    window = placement.window
    if window is None:
        return FrameLogits(low, placement, threads)
    top, left = math.floor(window.top), math.floor(window.left)
    bottom, right = math.ceil(window.top + window.height), math.ceil(window.left + window.width)
    moved = Window(window.top - top, window.left - left, window.height, window.width)
    return FrameLogits(low[:, top:bottom, left:right], Placement(placement.size, moved), threads)

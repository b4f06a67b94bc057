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

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.fitting import Area, area_of, window_of
from hyperseg_runtime.network import Network
from hyperseg_runtime.preprocess import Frame, Labels, Size, batch_labels, check_frame, prepare, restore
from hyperseg_runtime.upsampling import LowLogits, Placement, Window, confidence_at, labels_at, probabilities_at

Probabilities: TypeAlias = NDArray[np.float16]
"""float16 [classes, h, w], or the largest of them, [h, w]."""


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
        """The same frame with other logits of this shape. Raises InputError where they are of another."""
        if not isinstance(logits, np.ndarray) or logits.shape != self.logits.shape:
            what = list(logits.shape) if isinstance(logits, np.ndarray) else type(logits).__name__
            raise InputError(f"the logits of this frame are {list(self.logits.shape)}, not {what}")
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

    def __init__(self, network: Network, letterbox: bool) -> None:
        self._network, self._session, self._size = network, network.session, network.size
        self._letterbox = letterbox
        self._low: Size | None = None

    @property
    def size(self) -> Size:
        """Of the network's input."""
        return self._size

    @property
    def images_of_a_run(self) -> int:
        """See `Network`."""
        return self._network.images_of_a_run

    def prepare(self, frame: Frame) -> WholeFrame:
        check_frame(frame)
        size = (frame.shape[0], frame.shape[1])
        area = area_of(size, self._size, self._letterbox)
        return WholeFrame(self, prepare(frame, self._network.spec, self._size, area), size, area)

    def batch(self, frames: Sequence[Frame]) -> list[Labels]:
        labels: dict[int, Labels] = {}
        own = [index for index, frame in enumerate(frames) if frame.shape[:2] == self._size]
        others = [index for index, frame in enumerate(frames) if frame.shape[:2] != self._size]
        count = self._network.images_of_a_run
        for indices in (own, others) if self._session.gives_low_logits else ([*own, *others],):
            for at in range(0, len(indices), count):
                chunk = indices[at : at + count]
                labels.update(zip(chunk, self.run([self.prepare(frames[index]) for index in chunk]), strict=True))
        return [labels[index] for index in range(len(frames))]

    def run(self, frames: Sequence[WholeFrame]) -> list[Labels]:
        """The labels of the frames of one run: all of the network's input size, or none, or of any size where the
        session gives no logits."""
        images = self._network.filled_up([frame.image for frame in frames])
        if self._session.gives_low_logits and frames[0].size != self._size:
            placements = [self._placement(frame) for frame in frames]
            placements += [Placement((1, 1))] * (len(images) - len(frames))
            return self._session.run_labels(images, placements)[: len(frames)]
        outputs = batch_labels(self._session.run(images))
        return [_shown(labels, frame) for labels, frame in zip(outputs, frames, strict=False)]

    def logits(self, frame: WholeFrame) -> FrameLogits:
        self._network.check_gives_logits()
        low = self._session.run_low(self._network.filled_up([frame.image]))[0]
        return _cut(low, self._placement(frame), self._network.threads)

    def labels_or_logits(self, frame: WholeFrame) -> Labels | FrameLogits:
        if frame.size == self._size or self._network.on_gpu or not self._session.gives_low_logits:
            return self.run([frame])[0]
        return self.logits(frame)

    def _placement(self, frame: WholeFrame) -> Placement:
        if frame.area.size == self._size:
            return Placement(frame.size)
        if self._low is None:
            self._low = self._network.low_size()
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

    def joins(self, other: PreparedFrame) -> bool:
        """Whether one run of the network can have both."""
        return (
            isinstance(other, WholeFrame)
            and other.inference is self.inference
            and (other.size == self.inference.size) == (self.size == self.inference.size)
        )

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


def _cut(low: LowLogits, placement: Placement, threads: int | None) -> FrameLogits:
    """The rows and columns of the logits that the window touches."""
    window = placement.window
    if window is None:
        return FrameLogits(low, placement, threads)
    top, left = math.floor(window.top), math.floor(window.left)
    bottom, right = math.ceil(window.top + window.height), math.ceil(window.left + window.width)
    moved = Window(window.top - top, window.left - left, window.height, window.width)
    return FrameLogits(low[:, top:bottom, left:right], Placement(placement.size, moved), threads)

"""Steady labels of a video: the logits of its frames averaged over time, along the motion of what they show.

The average is exponential with a time constant in seconds, so that dropped, skipped and irregular frames count by their
time stamps. Where a frame is not what the motion makes of the frame before (something appears, or moves otherwise), and
at the edges where new things enter, the new logits count alone; at a cut they do everywhere.

The average is that of logits in the small grid of `motion`. Each frame's own logits get the difference of the average
to their own average on that grid, so that what is finer than the grid, as the edges of labels, is the frame's alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.motion import Motion, MotionEstimator, Small, small
from hyperseg_runtime.network import way_to_logits
from hyperseg_runtime.preprocess import Size

if TYPE_CHECKING:
    from fractions import Fraction

    from hyperseg_runtime.segmenter import Segmenter
    from hyperseg_runtime.upsampling import LowLogits
    from hyperseg_runtime.video.sources import SourceFrame

DEFAULT_SECONDS = 0.5
"""Chosen on rendered streets other than those that docs/running.md reports."""
_MOST_FRAMES = 19.0
"""That the past may count as: where time stamps stand still, the labels must not."""
_LEAST_SHARE = 0.05
"""Of its weight that the past must have kept to be used at all."""


@dataclass(frozen=True)
class _Past:
    """What the next frame is averaged with."""

    average: NDArray[np.float32]
    """[C, h, w] on the grid of `image`"""
    image: Small
    sizes: tuple[Size, tuple[int, ...]]
    """Of the frame, and of its logits."""
    time: Fraction
    weight: float
    """Of the average: the sum of its frames' weights, of which the last one's is 1."""


class Stabiliser:
    """A `LogitFilter` for one clip; each clip and each camera needs its own.

        segment.video("drive.mp4", logit_filter=Stabiliser())

    Between frames it keeps their average on the small grid: 1.2 MB for eleven classes of a 4:3 video.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        """seconds: the time constant, in which a frame's weight falls to 1/e. Frames that are three times as far apart,
        or more, are not averaged.

        Raises InputError unless it is a positive number.
        """
        if not 0 < seconds < math.inf:
            raise InputError(f"a time constant of {seconds:g} seconds is none; give more than 0, such as 0.5")
        self._seconds = seconds
        self._motion = MotionEstimator()
        self._past: _Past | None = None

    def reset(self) -> None:
        """Forgets the past: the next frame is the first of a clip."""
        self._past = None

    def __call__(self, logits: LowLogits, frame: SourceFrame) -> LowLogits:
        """[C, h, w] float32 or float16 of the whole frame -> float32 of the same shape.

        float32 logits are changed in place. If any is not finite, all are returned as they are, and the next frame is
        the first of a clip.
        """
        current = np.require(logits, np.float32, ("C", "W"))
        image = small(frame.image)
        average = _on_grid(current, (image.shape[0], image.shape[1]))
        past, self._past = self._past, None
        if not np.isfinite(average.sum(dtype=np.float64)):
            return current
        self._past = _Past(average, image, (frame.size, current.shape), frame.time, 1.0)
        weight = 0.0 if past is None else self._weight(past, self._past)
        if past is None or weight == 0:
            return current
        motion = self._motion(image, past.image)
        if not motion.is_cut:
            self._past = replace(self._past, weight=weight + 1)
            _average(current, average, past.average, motion, weight / (weight + 1))
        return current

    def _weight(self, past: _Past, now: _Past) -> float:
        """Of the past by now; 0 where it is not the same clip."""
        elapsed = float(now.time - past.time)
        if elapsed < 0 or past.sizes != now.sizes:
            return 0.0
        share = math.exp(-elapsed / self._seconds)
        return min(past.weight * share, _MOST_FRAMES) if share >= _LEAST_SHARE else 0.0


def check_can_stabilise(segmenter: Segmenter) -> None:
    """Raises ModelError where the open model gives labels alone."""
    if not segmenter.session.gives_low_logits:
        raise ModelError(
            f"{segmenter.path} gives labels alone, and stable ones are computed from logits; "
            f"{way_to_logits(segmenter.backend is BackendName.TENSORRT)}"
        )


def _on_grid(logits: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    grid = np.empty((len(logits), *size), np.float32)
    for plane, plane_on_grid in zip(logits, grid, strict=True):
        cv2.resize(plane, size[::-1], dst=plane_on_grid, interpolation=cv2.INTER_AREA)
    return grid


def _average(
    current: NDArray[np.float32],
    average: NDArray[np.float32],
    past: NDArray[np.float32],
    motion: Motion,
    share: float,
) -> None:
    """Changes the logits and their average on the grid, both in place, plane by plane, which fit the caches.

    share: of the past in the new average, where the motion explains the frame.
    """
    height, width = current.shape[1:]
    weights = motion.agreement * np.float32(share)
    change = np.empty((height, width), np.float32)
    for plane, plane_average, plane_past in zip(current, average, past, strict=True):
        small_change = cv2.multiply(cv2.subtract(motion.moved(plane_past), plane_average), weights)
        cv2.add(plane_average, small_change, dst=plane_average)
        cv2.resize(small_change, (width, height), dst=change, interpolation=cv2.INTER_LINEAR)
        cv2.add(plane, change, dst=plane)

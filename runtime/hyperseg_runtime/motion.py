"""Motion between two frames, and how far it explains the second: dense optical flow of small images.

The flow is DIS (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016) in OpenCV,
from the later frame to the earlier one, so that maps of the earlier one can be sampled at its ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.preprocess import Frame, Size

Small = NDArray[np.uint8]
"""uint8 [h, w, 3] BGR: a frame on the small grid."""

_LONG_SIDE, _LEAST_SIDE = 192, 16
"""Of the images that are compared, in pixels; 16 are two of the flow's patches. On the rendered streets of tuning,
flicker fell by 36 % with a long side of 96, by 44 % with 192, and by 46 % with 256, which costs twice as much."""
_FINEST_SCALE = 1
"""The flow is computed at half of that resolution. OpenCV's presets stop at a quarter, which loses people and poles,
and an instance that once gets a small image changes its own for good."""
_TOLERANCE = 14.0
"""Levels of 255 by which a pixel may differ from where it was, in the channel that differs most: at so many the
agreement is 1/e. By their grey alone, poles agree with what is behind them."""
_AGREEMENT = np.exp(-((np.arange(256) / _TOLERANCE) ** 2)).astype(np.float32)
"""By the difference in levels."""
_CUT = 0.4
"""Of the mean agreement. In the shots of drives it was 0.79 to 0.90, and 0.5 half a second apart; between shots 0.33 at
most, of two hazy streets."""


@dataclass(frozen=True)
class Motion:
    """Where each pixel of a small image was in the one before."""

    origin: NDArray[np.float32]
    """[h, w, 2]: the position across and down, in pixels of the image before; cv2.remap takes it."""
    agreement: NDArray[np.float32]
    """[h, w], 0 to 1: how alike the two pixels are. 0 where the origin is outside of the image."""

    @property
    def is_cut(self) -> bool:
        """Whether the one before explains so little of the image that they are of two shots."""
        return float(cv2.mean(self.agreement)[0]) < _CUT

    def moved(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map of the image before, [h, w], as the motion makes it look now."""
        remapped = cv2.remap(plane, self.origin, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        return np.asarray(remapped, np.float32)


class MotionEstimator:
    """Estimates motion between small images. Not for several threads at once."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(_FINEST_SCALE)
        self._grid = np.empty((0, 0, 2), np.float32)

    def __call__(self, now: Small, before: Small) -> Motion:
        """The motion between two results of `small` of one size."""
        height, width = now.shape[:2]
        if self._grid.shape[:2] != now.shape[:2]:
            self._grid = _pixel_grid((height, width))
        grey_now, grey_before = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (now, before))
        flow = self._flow.calc(grey_now, grey_before, None)  # type: ignore[call-overload]
        origin = np.asarray(cv2.add(self._grid, flow), np.float32)
        moved = cv2.remap(before, origin, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        blue, green, red = cv2.split(cv2.absdiff(now, moved))
        agreement = np.asarray(cv2.LUT(cv2.max(cv2.max(blue, green), red), _AGREEMENT), np.float32)
        inside = cv2.inRange(origin, (-0.5, -0.5), (width - 0.5, height - 0.5))
        agreement[inside == 0] = 0
        return Motion(origin, agreement)


def _pixel_grid(size: Size) -> NDArray[np.float32]:
    """The position of each pixel, across and down: [h, w, 2]."""
    across, down = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))
    return np.stack([across, down], axis=-1)


def small(frame: Frame) -> Small:
    """uint8 [h, w, 3] BGR -> the same with 192 pixels on its long side and at least 16 on the other.

    A large frame is sampled at twice that size before it is averaged: to average all of a 4K frame takes longer than
    the flow.
    """
    scale = _LONG_SIDE / max(frame.shape[:2])
    height, width = (max(_LEAST_SIDE, math.ceil(length * scale)) for length in frame.shape[:2])
    if min(frame.shape[0] / height, frame.shape[1] / width) > 2:
        frame = np.asarray(cv2.resize(frame, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

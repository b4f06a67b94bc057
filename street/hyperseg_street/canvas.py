"""Canvas that draws an image and its label map together, so that the labels are exact by construction.

Both are drawn at `SUPERSAMPLING` times the size without blending; then the image is averaged down and the label map is
sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_street.camera import Points

Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]
Mask = NDArray[np.bool_]

SUPERSAMPLING = 2
_SHIFT = 4
_LIMIT = 1 << 14


class Label(IntEnum):
    """CamVid's 11 classes by index, as label maps store them."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    PAVEMENT = 4
    TREE = 5
    SIGN = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    CYCLIST = 10


@dataclass(frozen=True)
class Haze:
    """Atmospheric haze: colours fade into `colour`, by half after `half_distance` metres."""

    colour: Colour
    half_distance: float

    def fade(self, depth: float) -> float:
        """The share of haze at a depth in metres."""
        return float(1 - 0.5 ** (max(depth, 0.0) / self.half_distance))

    def at(self, colour: Colour, depth: float) -> Colour:
        """The colour of a surface seen from a depth in metres."""
        share = self.fade(depth)
        red, green, blue = ((1 - share) * own + share * far for own, far in zip(colour, self.colour, strict=True))
        return red, green, blue


class Canvas:
    """An image uint8 [H, W, 3] RGB and its label map uint8 [H, W], both at the supersampled size."""

    def __init__(self, image: Pixels, label: Pixels, haze: Haze) -> None:
        self.image = image
        self.label = label
        self.haze = haze

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.label.shape[0], self.label.shape[1]

    def polygon(self, pixels: Points | None, colour: Colour, label: int, depth: float) -> None:
        """Fill a polygon [N, 2] of pixels."""
        if pixels is None:
            return
        fixed = np.round(np.clip(pixels, -_LIMIT, _LIMIT) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [fixed], self.haze.at(colour, depth), cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.label, [fixed], label, cv2.LINE_8, _SHIFT)

    def ellipse(
        self, centre: tuple[float, float], axes: tuple[float, float], colour: Colour, label: int, depth: float
    ) -> None:
        """Fill an ellipse with half axes in pixels."""
        angles = np.linspace(0, 2 * np.pi, 17)[:-1]
        outline = np.stack([centre[0] + axes[0] * np.cos(angles), centre[1] + axes[1] * np.sin(angles)], axis=1)
        self.polygon(outline, colour, label, depth)

    def stroke(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        colour: Colour,
        label: int,
        depth: float,
    ) -> None:
        """A thick straight line with square ends, `width` in pixels but at least one."""
        a, b = np.array(start), np.array(end)
        along = b - a
        length = float(np.hypot(*along)) or 1.0
        side = np.array([-along[1], along[0]]) / length * max(width, 1.0) / 2
        self.polygon(np.array([a + side, b + side, b - side, a - side]), colour, label, depth)

    def paste(self, image: Pixels, mask: Mask, solid: Mask, corner: tuple[int, int], label: int, depth: float) -> None:
        """Copy an image where `mask` is set and the label where `solid` is; `corner` (left, top) may lie outside."""
        left, top = corner
        height, width = mask.shape
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + width, self.size[1]), min(top + height, self.size[0])
        if x0 >= x1 or y0 >= y1:
            return
        inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        share = self.haze.fade(depth)
        tint = np.array([share * value for value in self.haze.colour], np.uint8)
        hazy = cv2.convertScaleAbs(image[inside], alpha=1 - share) + tint
        self.image[y0:y1, x0:x1][mask[inside]] = hazy[mask[inside]]
        self.label[y0:y1, x0:x1][solid[inside]] = label

    def finished(self) -> tuple[Pixels, Pixels]:
        """Image and label map at their final size."""
        height, width = (length // SUPERSAMPLING for length in self.size)
        image = cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA)
        half = SUPERSAMPLING // 2
        return np.asarray(image, np.uint8), self.label[half::SUPERSAMPLING, half::SUPERSAMPLING].copy()

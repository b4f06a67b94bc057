"""Outlines of the classes: one smooth, anti-aliased line between each two areas, whatever the labels' resolution.

Labels are pixels, so their borders are stairs of the labels' grid. Instead of the stairs, the ridge of their blur is
drawn: corners of pixels on a border are marked, weighted so that slanted borders get no more ink than straight ones,
and blurred at the labels' resolution. The result is enlarged to the frame by cubic interpolation, and a line is drawn
where it is near its maximum. As the field is one for all classes, no border is drawn twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.preprocess import Frame, Labels, Size

Field = NDArray[np.uint8]
"""uint8 [h, w]: near its maximum (about `_RIDGE`) on a border, 0 far from all borders."""

_STRAIGHT, _BEND = 128, 91
"""Ink of a pixel's corner where a border goes straight on, and where it bends: as 1 to 1/sqrt(2)."""
_RIDGE, _SIGMA = 175.0, 1.12
"""The field's maximum on a long straight border, and its standard deviation across it in pixels of the labels."""
_HALF_WIDTH = 0.67 * _SIGMA
"""Half the line's width in pixels of the labels. The lower the value of the field at the line's edge, the less its
small variations along the border change the width."""
_SHADE = 0.45
"""Opacity of the line's casing."""
_PIXEL = np.dtype((np.void, 3))
_CASING = 1.6
"""Width of the line with its casing, relative to the line's. The casing is dark, or light along a dark line, so that
the line is visible on any ground."""
_LUMINANCE, _DARK = np.array([0.114, 0.587, 0.299]), 60.0
"""Weights of blue, green and red; the luminance below which a line is dark."""


def border_field(labels: Labels, size: Size) -> Field:
    """The field of the borders between labels of any size, at `size` (height and width)."""
    if min(labels.shape) < 2:  # one row or column: its borders are points
        return np.zeros(size, np.uint8)
    beside = np.asarray(cv2.compare(labels[:, :-1], labels[:, 1:], cv2.CMP_NE), np.uint8)
    below = np.asarray(cv2.compare(labels[:-1], labels[1:], cv2.CMP_NE), np.uint8)
    above, under, left, right = beside[:-1], beside[1:], below[:, :-1], below[:, 1:]
    straight, bent = (above & under) | (left & right), (above | under) & (left | right)
    corners = cv2.copyMakeBorder((straight & _STRAIGHT) | (bent & _BEND), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    pixels = cv2.boxFilter(corners, -1, (2, 2), anchor=(0, 0), normalize=False)[:-1, :-1]
    blurred = cv2.GaussianBlur(pixels, (5, 5), 0)
    if blurred.shape != size:
        blurred = cv2.resize(blurred, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(blurred, np.uint8)


def draw_lines(
    image: Frame, field: Field, scale: float, opacity: float, colours: NDArray[np.uint8], ranks: Labels | None = None
) -> None:
    """Draws the borders of `field` into `image` of the same size, which must be contiguous.

    scale: pixels of the image to one of the labels; the line's width is proportional to it.
    opacity: of the line, 0 to 1.
    colours: BGR of the line, uint8 [n, 3], for each value of `ranks` (uint8, the image's size); one colour without,
    which is fainter where lines are so near each other that they would hide what they surround.
    """
    brush = _brush(scale, opacity, ranks is None)
    pixels = np.flatnonzero(field >= brush.first)
    if not pixels.size:
        return
    values, flat = field.reshape(-1)[pixels], image.reshape(-1, 3)
    casing = np.where(colours @ _LUMINANCE < _DARK, np.uint8(255), np.uint8(0))[:, np.newaxis]
    if ranks is None:
        paint = (brush.ink * colours[:1] + brush.casing * casing[:1]).take(values, axis=0)
    else:
        rank = ranks.reshape(-1)[pixels]
        paint = brush.ink.take(values, axis=0) * colours.take(rank, axis=0)
        paint += brush.casing.take(values, axis=0) * casing.take(rank, axis=0)
    mixed = ((flat.take(pixels, axis=0) * brush.keep.take(values, axis=0) + paint) >> 8).astype(np.uint8)
    np.put(flat.view(_PIXEL), pixels, mixed.view(_PIXEL))  # a third of the time of flat[pixels] = mixed


@dataclass(frozen=True)
class _Brush:
    """How a pixel is painted, by the value of the field there."""

    keep: NDArray[np.uint16]
    """Share of the image that remains, in 1/256: [256, 3], the same in all channels."""
    ink: NDArray[np.uint16]
    """Share of the line's colour, likewise."""
    casing: NDArray[np.uint16]
    """Share of the casing, likewise."""
    first: int
    """The smallest value that is painted."""


@lru_cache(maxsize=8)
def _brush(scale: float, opacity: float, yields: bool) -> _Brush:
    """yields: the line is fainter where several are so near that they would hide what they surround."""
    ink, casing = opacity * _coverage(_HALF_WIDTH, scale), _SHADE * _coverage(_CASING * _HALF_WIDTH, scale)
    if yields:
        crowded = np.clip((np.arange(256) - _RIDGE) / (255 - _RIDGE), 0, 1)
        ink, casing = ink * (1 - 0.7 * crowded), casing * (1 - crowded)
    keep, casing = (1 - casing) * (1 - ink), casing * (1 - ink)
    painted = np.flatnonzero(keep < 1 - 1 / 64)
    return _Brush(_in_256(keep), _in_256(ink), _in_256(casing), int(painted[0]))


def _in_256(shares: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Shares of 1 in 1/256, for three channels; rounded down, so that shares of a whole do not exceed it."""
    return np.repeat(np.floor(256 * shares).astype(np.uint16)[:, np.newaxis], 3, axis=1)


def _coverage(half_width: float, scale: float) -> NDArray[np.float64]:
    """The share of a pixel that the line covers, for each value of the field: anti-aliased over one image pixel."""
    edge = _RIDGE * math.exp(-((half_width / _SIGMA) ** 2) / 2)
    change = edge * half_width / _SIGMA**2 / max(scale, 1.0)
    return np.clip(0.5 + (np.arange(256) - edge) / change, 0, 1)

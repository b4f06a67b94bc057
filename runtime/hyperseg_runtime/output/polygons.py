"""Polygons around the connected regions of a label map, in COCO's coordinates.

COCO measures coordinates from the corner of the first pixel: pixel (x, y) covers x to x + 1 and y to y + 1, and the
outline of a region runs along the edges of its pixels. So a polygon covers exactly the region's pixels. COCO's polygons
have no holes. As its tools fill polygons by the even-odd rule, a hole is joined to the outline by a bridge: a line that
is run along there and back, and so has no area.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.preprocess import Labels

Ring = NDArray[np.int32]
"""int32 [n, 2], x and y of the corners of a closed line; n at least 4."""


@dataclass(frozen=True)
class Region:
    """A connected region of one class; pixels that touch at a corner are connected."""

    label: int
    ring: Ring
    """Its outline, with the holes joined by bridges."""
    area: int
    """In pixels, without the holes."""
    box: tuple[int, int, int, int]
    """Left, top, width, height."""


def regions(labels: Labels, wanted: frozenset[int]) -> Iterator[Region]:
    """The regions of the wanted classes, by class."""
    present = np.flatnonzero(cv2.calcHist([labels], [0], None, [256], [0, 256]).reshape(-1))
    for label in present:
        if int(label) in wanted:
            yield from _regions_of(labels, int(label))


def _regions_of(labels: Labels, label: int) -> Iterator[Region]:
    found = labels == label
    # Not cv2.boundingRect, which OpenCV 4.9 gets wrong for some small masks.
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    left, top, width, height = columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    mask = found[top : top + height, left : left + width].astype(np.uint8)
    # OpenCV's contours run through the centres of border pixels. Of pixels cut in four, the centres tell the edges.
    quarters = cv2.resize(mask, (2 * int(width), 2 * int(height)), interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(quarters, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_edges(np.asarray(contour, np.int32)) + np.array([left, top], np.int32) for contour in contours]
    links = np.asarray(hierarchy, np.int32).reshape(-1, 4)  # next and previous sibling, first child, parent
    for ring, (_, _, first_hole, parent) in zip(rings, links, strict=True):
        if parent < 0:
            holes = [rings[hole] for hole in _siblings(links, int(first_hole))]
            low, high = ring.min(axis=0), ring.max(axis=0)
            area = abs(_twice_area(ring)) - sum(abs(_twice_area(hole)) for hole in holes)
            box = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
            yield Region(label, _joined(ring, holes), area // 2, box)


def _siblings(links: NDArray[np.int32], first: int) -> Iterator[int]:
    while first >= 0:
        yield first
        first = int(links[first, 0])


def _edges(contour: NDArray[np.int32]) -> Ring:
    """From border quarters to the corners of the pixels' edges: 2x and 2x + 1 are the edges x and x + 1."""
    points = (contour.reshape(-1, 2) + 1) // 2
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    back = (before * after).sum(axis=1) < 0
    return np.asarray(points[turns | back], np.int32)


def _twice_area(ring: Ring) -> int:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _joined(ring: Ring, holes: list[Ring]) -> Ring:
    """The outline with a bridge to each hole, from the corner that is nearest to the hole's first one."""
    for hole in sorted(holes, key=lambda hole: (int(hole[:, 0].min()), int(hole[:, 1].min()))):
        start = int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
        around = np.roll(hole, -start, axis=0)
        near = int(np.abs(ring.astype(np.int64) - around[0]).sum(axis=1).argmin())
        ring = np.concatenate([ring[: near + 1], around, around[:1], ring[near:]])
    return ring

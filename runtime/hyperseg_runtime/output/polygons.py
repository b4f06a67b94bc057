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
    rings = [_edges(np.asarray(contour, np.int32)) for contour in contours]
    links = np.asarray(hierarchy, np.int32).reshape(-1, 4)  # next and previous sibling, first child, parent
    offset = np.array([left, top], np.int32)
    for ring, (_, _, first_hole, parent) in zip(rings, links, strict=True):
        if parent < 0:
            holes = [rings[hole] for hole in _siblings(links, int(first_hole))]
            low, high = ring.min(axis=0), ring.max(axis=0)
            area = abs(_twice_area(ring)) - sum(abs(_twice_area(hole)) for hole in holes)
            box = (*(low + offset).tolist(), *(high - low).tolist())
            whole = _joined(ring, holes, mask) if holes else ring
            yield Region(label, _corners(whole) + offset, area // 2, box)


def _siblings(links: NDArray[np.int32], first: int) -> Iterator[int]:
    while first >= 0:
        yield first
        first = int(links[first, 0])


def _edges(contour: NDArray[np.int32]) -> Ring:
    """From border quarters to a line along the pixels' edges, in steps of one: 2x and 2x + 1 are the edges x and x + 1.

    The line has the border's direction: clockwise for outlines, counter-clockwise for holes, or the other way round.
    """
    points = (contour.reshape(-1, 2) + 1) // 2
    moved = (points != np.roll(points, 1, axis=0)).any(axis=1)
    return np.asarray(points[moved], np.int32)


def _twice_area(ring: Ring) -> int:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _corners(ring: Ring) -> Ring:
    """The ring without the points on its straight parts."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.asarray(ring[(before != after).any(axis=1)], np.int32)


def _joined(ring: Ring, holes: list[Ring], mask: NDArray[np.uint8]) -> Ring:
    """The outline with bridges to the holes, each from a hole's leftmost point straight to the next border on its left.

    That border is the outline's, or that of a hole that begins further left; so all holes are joined to the outline in
    the end. mask: the pixels of the region, among others; nonzero.
    """
    points = np.concatenate([ring, *holes])
    ends = np.cumsum([len(ring), *map(len, holes)])
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = np.concatenate([[0], ends[:-1]])
    starts = [
        first + int(np.lexsort((hole[:, 1], hole[:, 0]))[0]) for first, hole in zip(ends[:-1], holes, strict=True)
    ]
    after = following.tolist()
    before = np.argsort(following).tolist()  # its inverse
    origin = list(range(len(points)))
    for start, border in zip(starts, _left_of(starts, points, following, mask), strict=True):
        # Along the border, over the bridge, around the hole, and back over the bridge: both of its ends come twice.
        start_again, border_again = len(origin), len(origin) + 1
        origin += [start, border]
        after += [border_again, after[border]]
        before += [before[start], start_again]
        after[before[start]] = start_again
        before[after[border]] = border_again
        after[border], before[start] = start, border
    order = [0]
    while after[order[-1]]:
        order.append(after[order[-1]])
    return np.asarray(points[np.array(origin)[order]], np.int32)


def _left_of(
    starts: list[int], points: Ring, following: NDArray[np.int64], mask: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """For each of the points `starts`, the point at the same height of the next border on its left."""
    upright = np.flatnonzero(points[:, 0] == points[following, 0])
    ends = np.stack([upright, following[upright]])
    upper = np.take_along_axis(ends, points[ends, 1].argmin(axis=0)[np.newaxis], axis=0)[0]
    rows = len(mask) + 1
    keys = points[upper, 0].astype(np.int64) * rows + points[upper, 1]
    wanted = []
    for x, y in points[starts].tolist():
        outside = np.flatnonzero(mask[y, :x] == 0)
        wanted.append((int(outside[-1]) + 1 if outside.size else 0) * rows + y)
    order = np.argsort(keys)
    return np.asarray(upper[order[np.searchsorted(keys[order], wanted)]])

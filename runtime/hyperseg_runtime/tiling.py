"""Tiles: overlapping windows of the network's input size that cover a frame, and the blending of their logits.

A window shows the frame's pixels as they are: one pixel of the frame is one of the network's input. The windows of a
row overlap by at least a quarter, as the rows do. Where windows overlap, their logits are averaged with raised-cosine
weights, which sum to 1 and are near 0 at a window's border, where the network sees least of the surroundings.

Positions are in pixels of the low-resolution logits ("rows", "columns"), `stride` pixels of the frame each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.upsampling import LowLogits, Placement, Window

_OVERLAP = 0.25
"""The least share of a window that lies in its neighbour."""


@dataclass(frozen=True)
class Axis:
    """The windows along one direction."""

    starts: tuple[int, ...]
    length: int
    """Of a window."""
    extent: int
    """Of the logits of the whole frame."""

    @staticmethod
    def of(frame: int, window: int, stride: int) -> Axis:
        """frame, window: lengths in pixels. As few windows as the overlap allows, evenly spaced; at least one."""
        extent, length = -(-frame // stride), window // stride
        if extent <= length:
            return Axis((0,), length, extent)
        step = length - max(1, int(_OVERLAP * length)) if length > 1 else 1
        count = 1 + -(-(extent - length) // step)
        return Axis(tuple(round(i * (extent - length) / (count - 1)) for i in range(count)), length, extent)

    def weights(self) -> list[NDArray[np.float32]]:
        """Of each window, [length]: at every position of the frame they sum to 1."""
        bell = np.sin(np.pi * (np.arange(self.length) + 0.5) / self.length) ** 2
        total = np.zeros(max(self.extent, self.length))
        for start in self.starts:
            total[start : start + self.length] += bell
        return [(bell / total[start : start + self.length]).astype(np.float32) for start in self.starts]


@dataclass(frozen=True)
class Band:
    """Some rows of the frame, and the blended logits that they are computed from."""

    rows: slice
    """Of the frame, in pixels."""
    logits: NDArray[np.float32]
    """[C, h, w]; valid until the next band is asked for."""
    placement: Placement
    """Of `rows` with a margin in the logits, so that the enlargement is continuous from band to band."""
    margin: slice
    """`rows` within the placement's result."""


class Tiling:
    """The windows of a frame."""

    def __init__(self, frame: Size, window: Size, low: Size) -> None:
        """frame, window: sizes in pixels. low: the size of a window's logits, of which `window` is a multiple."""
        self.frame, self.window = frame, window
        self.strides = window[0] // low[0], window[1] // low[1]
        self.down = Axis.of(frame[0], window[0], self.strides[0])
        self.across = Axis.of(frame[1], window[1], self.strides[1])

    def corners(self) -> Iterator[tuple[int, int]]:
        """The windows' top left corners in pixels of the frame, row by row."""
        for top in self.down.starts:
            for left in self.across.starts:
                yield top * self.strides[0], left * self.strides[1]

    def blended(self, logits: Iterator[LowLogits]) -> Iterator[Band]:
        """The frame's rows from the logits [C, h, w] of all windows, in the order of `corners`.

        Only the rows of logits that later windows change, or later bands need, are held.
        """
        across = self.across.weights()
        held: NDArray[np.float32] | None = None
        first = done = 0  # the row of the frame's logits that `held` begins with; the rows of which bands were made
        for (top, following), weights in zip(
            pairwise([*self.down.starts, self.down.extent]), self.down.weights(), strict=True
        ):
            last = following == self.down.extent
            for left, beside in zip(self.across.starts, across, strict=True):
                window = next(logits)
                if held is None:
                    held = np.zeros((len(window), *self._held_size()), np.float32)
                target = held[:, top - first : top - first + self.down.length, left : left + self.across.length]
                target += window * (weights[:, np.newaxis] * beside)
            assert held is not None
            # The row before `following` is blended with the first row of the next band.
            end = self.down.extent if last else following - 1
            if end <= done:
                continue
            yield self._band(held, first, done, end, last)
            kept = max(0, end - 1)
            rows = top + self.down.length - kept
            held[:, :rows] = held[:, kept - first : kept - first + rows]
            held[:, rows:] = 0
            first, done = kept, end

    def _held_size(self) -> Size:
        """A row of windows, and the two rows before it that the next band still needs."""
        return self.down.length + 2, max(self.across.extent, self.across.length)

    def _band(self, held: NDArray[np.float32], first: int, begin: int, end: int, last: bool) -> Band:
        """Rows `begin` to `end` of the frame's logits, with one more on either side."""
        stride, (height, width) = self.strides[0], self.frame
        above, below = max(0, begin - 1), end if last else end + 1
        top, bottom = begin * stride, min(end * stride, height)
        outer_top, outer_bottom = above * stride, min(below * stride, height)
        window = Window(above - first, 0, (outer_bottom - outer_top) / stride, width / self.strides[1])
        placement = Placement((outer_bottom - outer_top, width), window)
        return Band(slice(top, bottom), held, placement, slice(top - outer_top, bottom - outer_top))

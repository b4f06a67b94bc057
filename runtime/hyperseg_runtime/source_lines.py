"""Which two lines of a map each line of a bilinear enlargement lies between, as hyperseg/source_lines.h has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.errors import InputError


@dataclass(frozen=True)
class SourceLines:
    """For each of n results: value = (1 - weight) * source[low] + weight * source[high]."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]

    def __getitem__(self, part: slice) -> SourceLines:
        return SourceLines(self.low[part], self.high[part], self.weight[part])

    def counted_from(self, first: int) -> SourceLines:
        """The same of a map without the lines before `first`."""
        return SourceLines(self.low - first, self.high - first, self.weight)


def of(lines: str, count: int, extent: int, begin: float, length: float) -> SourceLines:
    """Of `count` results that fill the window [begin, begin + length) of `extent` lines, whose pixels are from i to
    i + 1. A window that is less than a pixel long gives the value at its middle everywhere.

    lines: "rows" or "columns", for the message. Raises InputError for a window that is empty or outside.
    """
    if not (math.isfinite(begin) and math.isfinite(length) and length > 0 and begin < extent and begin + length > 0):
        raise InputError(
            f"the window's {lines}, {begin:g} to {begin + length:g}, are none of the logits' {extent}; give the part "
            "of the logits that shows the frame, in their pixels"
        )
    middle = begin + (length - 1) / 2
    least, most = (begin, begin + length - 1) if length > 1 else (middle, middle)
    position = (np.arange(count) + 0.5) * (length / count) + (begin - 0.5)
    position = position.clip(least, most).clip(0, extent - 1)
    low = position.astype(np.intp)
    return SourceLines(low, np.minimum(low + 1, extent - 1), (position - low).astype(np.float32))

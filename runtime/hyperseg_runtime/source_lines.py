"""Which two lines of a map each line of a bilinear enlargement lies between, as hyperseg/source_lines.h has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.errors import InputError

LARGEST_EXTENT = (1 << 22) - 1
"""Of the logits, the results and the window's numbers: SourceLines::kLargestExtent of the libraries."""


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


def check(lines: str, count: int, extent: int, begin: float, length: float) -> None:
    """Raises InputError where there are no such results: see `of`. The libraries' `validate` refuses the same."""
    if not (1 <= count <= LARGEST_EXTENT and extent <= LARGEST_EXTENT):
        raise InputError(
            f"{count} {lines} from logits with {extent} are not computed; give 1 to {LARGEST_EXTENT}, such as those of "
            "a part of the frame"
        )
    # Written so that NaN fails.
    inside = 0 < length <= LARGEST_EXTENT and -LARGEST_EXTENT <= begin < extent and begin + length > 0
    if not inside:
        raise InputError(
            f"the window's {lines}, {begin:g} to {begin + length:g}, are none of the logits' {extent}; give the part "
            "of the logits that shows the frame, in their pixels"
        )


def of(lines: str, count: int, extent: int, begin: float, length: float) -> SourceLines:
    """Of `count` results that fill the window [begin, begin + length) of `extent` lines, whose pixels are from i to
    i + 1. A window that is less than a pixel long gives the value at its middle everywhere.

    lines: "rows" or "columns", for the message. Raises InputError for a window that is empty or outside, and where a
    number is beyond LARGEST_EXTENT.
    """
    check(lines, count, extent, begin, length)
    middle = begin + (length - 1) / 2
    least, most = (begin, begin + length - 1) if length > 1 else (middle, middle)
    position = (np.arange(count) + 0.5) * (length / count) + (begin - 0.5)
    position = position.clip(least, most).clip(0, extent - 1)
    low = position.astype(np.intp)
    return SourceLines(low, np.minimum(low + 1, extent - 1), (position - low).astype(np.float32))

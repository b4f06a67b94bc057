"""Labels and probabilities of any size from low-resolution logits: bilinear enlargement without full-size logits.

Bilinear with half-pixel centres (`align_corners=False`), as in the networks' own end: pixel i of n results lies at
(i + 0.5) / n of the window, and positions beyond its outermost pixels are clamped to them. The results may be smaller
than the logits, too; they are not averaged.

Where a logit is NaN, or two of a pixel's neighbours are infinite, its label is one of the channels, but not a defined
one; its probabilities are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime import machine, source_lines
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.native_labels import CpuLabels
from hyperseg_runtime.source_lines import SourceLines

if TYPE_CHECKING:
    from hyperseg_runtime.preprocess import Labels, Size

LowLogits: TypeAlias = "NDArray[np.float32] | NDArray[np.float16]"
"""[C, h, w], or [N, C, h, w]: the logits of a network at its own output size, before they are enlarged."""

MOST_CLASSES = 256
"""Of labels, which are uint8."""
_BAND_VALUES = 1 << 20
"""Enlarged logits that are in memory at a time."""


@dataclass(frozen=True)
class Window:
    """The part of the low-resolution logits that shows the frame, in their pixels, fractions included."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True)
class Placement:
    """What to compute from one image's logits: a result of `size`, from `window` or (None) from all of them."""

    size: Size
    window: Window | None = None


def labels_at(logits: LowLogits, placement: Placement, threads: int | None = None) -> Labels:
    """The largest channel at each pixel of the enlarged logits, ties to the lowest: [C, h, w] -> uint8 [H, W].

    threads: at most so many; None: one for each physical core that this process may use. libhyperseg_cpu.so computes,
    and other Python threads run meanwhile; NumPy where that library was not built, on one thread.

    Raises InputError where the logits are no float32 or float16 [C, h, w] with at most 256 channels, and where the
    placement has no pixels or its window lies outside of the logits, or a number is beyond LARGEST_EXTENT. Raises
    LibraryMissingError where the library is there but does not load.
    """
    _check(logits, placement, threads)
    library = find(Library.CPU)
    if library is not None:
        return _loaded(library).at(logits, placement, _cores() if threads is None else threads)
    return labels_by_numpy(logits, placement)


def check_placement(placement: Placement, low: Size) -> None:
    """Raises InputError where the placement has no pixels or too many, or its window lies outside of logits of size
    `low`. What it lets pass, a library refuses for another reason alone."""
    (height, width), window = placement.size, placement.window or Window(0.0, 0.0, *low)
    if min(height, width) < 1:
        raise InputError(f"a result of {height} x {width} pixels is empty; give its frame's size")
    source_lines.check("rows", height, low[0], window.top, window.height)
    source_lines.check("columns", width, low[1], window.left, window.width)


def labels_by_numpy(logits: LowLogits, placement: Placement) -> Labels:
    """`labels_at` without the library."""
    labels = np.empty(placement.size, np.uint8)
    for rows, band in _bands(logits, placement):
        labels[rows] = band.argmax(axis=0)
    return labels


@cache
def _loaded(library: Path) -> CpuLabels:
    return CpuLabels(library)


@cache
def _cores() -> int:
    return machine.inference_threads()


def probabilities_at(logits: LowLogits, placement: Placement) -> NDArray[np.float16]:
    """The softmax over the channels of the enlarged logits: [C, h, w] -> float16 [C, H, W]. Errors as `labels_at`."""
    _check(logits, placement)
    result = np.empty((len(logits), *placement.size), np.float16)
    for rows, band in _bands(logits, placement):
        powers = _powers(band)
        result[:, rows] = np.divide(powers, powers.sum(axis=0), out=powers)
    return result


def confidence_at(logits: LowLogits, placement: Placement) -> NDArray[np.float16]:
    """The probability of each pixel's label, the largest of its softmax: [C, h, w] -> float16 [H, W], from 1 / C to 1.
    Errors as `labels_at`."""
    _check(logits, placement)
    result = np.empty(placement.size, np.float16)
    for rows, band in _bands(logits, placement):
        result[rows] = 1.0 / _powers(band).sum(axis=0)
    return result


def _check(logits: LowLogits, placement: Placement, threads: int | None = None) -> None:
    array = isinstance(logits, np.ndarray)
    if not array or logits.dtype not in (np.float32, np.float16) or logits.ndim != 3 or 0 in logits.shape:
        what = f"{logits.dtype} {list(logits.shape)}" if array else type(logits).__name__
        raise InputError(f"logits are float32 or float16 [C, h, w] with no extent of 0, not {what}")
    if len(logits) > MOST_CLASSES:
        raise InputError(f"the logits have {len(logits)} classes; labels are uint8, so at most {MOST_CLASSES}")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; it has to be at least 1, or None for one a core")
    check_placement(placement, (logits.shape[1], logits.shape[2]))


def _lines(logits: LowLogits, placement: Placement) -> tuple[SourceLines, SourceLines]:
    """Where the results' rows and columns lie in the logits."""
    _, height, width = logits.shape
    window = placement.window or Window(0.0, 0.0, height, width)
    return (
        source_lines.of("rows", placement.size[0], height, window.top, window.height),
        source_lines.of("columns", placement.size[1], width, window.left, window.width),
    )


def _bands(logits: LowLogits, placement: Placement) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The enlarged logits, some rows at a time: the rows, and float32 [C, rows, W], which the caller may overwrite."""
    down, across = _lines(logits, placement)
    height, width = placement.size
    count = max(1, _BAND_VALUES // (len(logits) * width))
    for first in range(0, height, count):
        rows = slice(first, min(first + count, height))
        part = down[rows]
        begin, end = int(part.low[0]), int(part.high[-1]) + 1
        # Rows that several results share are enlarged once; where results are far apart, only those that they need.
        if end - begin <= 2 * len(part.low):
            source, part = logits[:, begin:end], part.counted_from(begin)
            wide = _across(source, across)
            low, high = wide[:, part.low], wide[:, part.high]
        else:
            low, high = _across(logits[:, part.low], across), _across(logits[:, part.high], across)
        yield rows, _blended(low, high, part.weight[:, None])


def _across(source: LowLogits, columns: SourceLines) -> NDArray[np.float32]:
    """float [C, rows, w] -> float32 [C, rows, W]."""
    source = np.asarray(source, np.float32)
    low = source.take(columns.low, axis=2)
    return _blended(low, source.take(columns.high, axis=2), columns.weight)


@np.errstate(invalid="ignore")  # infinite logits
def _blended(low: NDArray[np.float32], high: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """In the memory of `high`."""
    high -= low
    high *= weight
    high += low
    return high


@np.errstate(invalid="ignore")
def _powers(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """The powers of e of a softmax over the first axis, the largest 1; in the memory of `band`."""
    band -= band.max(axis=0)
    return np.exp(band, out=band)

"""Layout of a legend: the largest text and the most names that fit into a given share of the frame.

The text shrinks first, then names are shortened and the last entries are only counted ("+3 more"), and where not even
one entry fits there is no legend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hyperseg_runtime.output.lettering import shortened, text_width
from hyperseg_runtime.preprocess import Size

MAX_SHARE = 0.15
"""The panel's largest share of the frame's area."""
_MIN_FONT = 10
"""The smallest legible text, in pixels."""
_FONT_SHARE = 1 / 42
"""Size of the text by the frame's shorter side, if there is room."""
_NAME_WIDTHS = (14.0, 7.0, 4.0)
"""Widths to which long names are shortened, one after the other, in sizes of the font."""
_ENOUGH = 4
"""Entries that are enough not to shorten names further for the sake of more."""


@dataclass(frozen=True)
class Layout:
    """A panel of `texts` in columns from top to bottom, the first `named` of which are entries. In pixels."""

    texts: tuple[str | None, ...]
    named: int
    font: int
    rows: int
    columns: int
    text_width: int

    @property
    def row(self) -> int:
        """Distance of the baselines of two rows."""
        return round(self.font * 1.5)

    @property
    def swatch(self) -> tuple[int, int]:
        """Width and height of the patch of colour."""
        return round(self.font * 1.4), round(self.font * 0.75)

    @property
    def indent(self) -> int:
        """From the patch's left edge to the text."""
        return round(self.font * 1.9)

    @property
    def padding(self) -> int:
        return max(2, self.font // 2)

    @property
    def margin(self) -> int:
        """Between the panel and the frame's edges."""
        return max(1, self.font // 2)

    @property
    def column(self) -> int:
        """Distance of two columns."""
        return self.indent + self.text_width + self.font

    @property
    def width(self) -> int:
        return self.columns * self.column - self.font + 2 * self.padding

    @property
    def height(self) -> int:
        return self.rows * self.row + 2 * self.padding - (self.row - self.font)

    def place(self, index: int) -> tuple[int, int]:
        """Left end and baseline of an entry, in the panel."""
        column, row = divmod(index, self.rows)
        return self.padding + column * self.column, self.padding + round(self.font * 0.85) + row * self.row

    def fits(self, size: Size) -> bool:
        height, width = size
        inside = self.width + 2 * self.margin <= width and self.height + 2 * self.margin <= height
        return inside and self.width * self.height <= MAX_SHARE * height * width


def arranged(texts: Sequence[str | None], reserved: Sequence[str], size: Size) -> Layout | None:
    """The layout of `texts` (None: an empty place) in a frame of `size`, height and width; None if there is no room.

    reserved: names that the width must be enough for, those of `texts` among them.
    """
    if not texts or not Layout(("",), 1, _MIN_FONT, 1, 1, 0).fits(size):
        return None
    font = max(_MIN_FONT, round(min(size) * _FONT_SHARE))
    while font > _MIN_FONT:
        whole = _Column(texts, reserved, font, _NAME_WIDTHS[0]).layout(len(texts), size)
        if whole is not None:
            return whole
        font = max(_MIN_FONT, min(font - 1, round(font * 0.9)))
    best: Layout | None = None
    for name_width in _NAME_WIDTHS:
        column = _Column(texts, reserved, font, name_width)
        for named in range(len(texts), 0 if best is None else best.named, -1):
            found = column.layout(named, size)
            if found is not None:
                best = found
                break
        if best is not None and best.named >= min(_ENOUGH, len(texts)):
            break
    return best


class _Column:
    """The texts in one size and width, to be arranged in columns."""

    def __init__(self, texts: Sequence[str | None], reserved: Sequence[str], font: int, name_width: float) -> None:
        limit = round(name_width * font)
        self._font = font
        self._lines = [None if text is None else shortened(text, limit, font) for text in texts]
        self._widest = max(text_width(shortened(text, limit, font), font) for text in reserved)
        self._count_width = text_width(_count(len(texts)), font)

    def layout(self, named: int, size: Size) -> Layout | None:
        """The first `named` lines in as few columns as fit, and a count of the others; None if there is no room."""
        others = sum(line is not None for line in self._lines[named:])
        lines = (*self._lines[:named], _count(others)) if others else tuple(self._lines[:named])
        widest = max(self._widest, self._count_width) if others else self._widest
        for columns in range(1, len(lines) + 1):
            rows = math.ceil(len(lines) / columns)
            layout = Layout(lines, named, self._font, rows, math.ceil(len(lines) / rows), widest)
            if layout.fits(size):
                return layout
            if layout.width > size[1] or rows == 1:
                break
        return None


def _count(others: int) -> str:
    return f"+{others} more"

"""The little SVG that the report's plots need: axes, marks, text, in colours that the page's style sheet sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round numbers within the range."""
        raw = (self.high - self.low) / count
        power = 10.0 ** np.floor(np.log10(raw))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
        first = np.ceil(self.low / step)
        return [float(step * number) for number in np.arange(first, np.floor(self.high / step) + 1)]


@dataclass
class Drawing:
    """An SVG picture under construction. Colours are CSS classes."""

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def bar(self, x: float, y: float, width: float, height: float, style: str, tip: str = "") -> None:
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect {box} class="{style}">{_tip(tip)}</rect>')

    def dot(self, x: float, y: float, radius: float, style: str, tip: str = "") -> None:
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{style}">{_tip(tip)}</circle>')

    def text(self, x: float, y: float, words: str, style: str = "label", anchor: str = "start") -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def bottom_axis(self, scale: Scale, top: float, bottom: float, words: str) -> None:
        """Ticks, grid lines between `top` and `bottom`, and the axis's name."""
        for tick in scale.ticks():
            self.line(scale(tick), top, scale(tick), bottom, "grid")
            self.text(scale(tick), bottom + 16, f"{tick:g}", "tick", "middle")
        self.text((scale.start + scale.end) / 2, bottom + 36, words, "axis", "middle")

    def left_axis(self, scale: Scale, left: float, right: float, words: str) -> None:
        for tick in scale.ticks():
            self.line(left, scale(tick), right, scale(tick), "grid")
            self.text(left - 8, scale(tick) + 4, f"{tick:g}", "tick", "end")
        self.text(left, scale.end - 12, words, "axis", "start")

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """A row of coloured squares with names: pairs of style and name."""
        for style, name in entries:
            self.bar(x, y - 9, 10, 10, style)
            self.text(x + 15, y, name, "tick")
            x += 30 + 7.2 * len(name)

    def render(self) -> str:
        head = f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{escape(self.title)}">'
        return "\n".join([head, *self._parts, "</svg>"])


def _tip(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""

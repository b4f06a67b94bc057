"""The plots of the HTML report, as SVG in the colours of the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from hyperseg_runtime.benchmark.measure import Distribution
from hyperseg_runtime.benchmark.protocols import VideoResult
from hyperseg_runtime.benchmark.published import PublishedTable
from hyperseg_runtime.timing import Stage

_WIDTH = 860.0
_LEFT, _RIGHT = 20.0, 20.0
_GAP = 5.0
"""Space next to a label."""


def latency(distributions: Sequence[Distribution]) -> str:
    """One row of dots for each model: every repetition, the 5th to 95th percentile, the median."""
    row, top = 66.0, 12.0
    bottom = top + row * len(distributions)
    drawing = Drawing(_WIDTH, bottom + 48, "Latency distribution")
    # Single stalls of the machine would compress everything else: the axis ends at the 99th percentiles.
    low = min(one.percentile(0) for one in distributions)
    high = max(low * 1.02, *(one.percentile(99) for one in distributions))
    margin = 0.06 * (high - low)
    scale = Scale(max(0.0, low - margin), high + margin, _LEFT, _WIDTH - _RIGHT)
    drawing.bottom_axis(scale, top, bottom, "milliseconds for one image")
    jitter = np.random.default_rng(0)
    for number, one in enumerate(distributions):
        colour = f"c{number % 5}"
        middle = top + row * number + row * 0.66
        drawing.text(_LEFT, middle - 22, f"{one.name}: median {one.median:.2f} ms", "label")
        spread = scale(one.percentile(95)) - scale(one.percentile(5))
        drawing.bar(scale(one.percentile(5)), middle - 9, spread, 18, f"{colour} band", "5th to 95th percentile")
        for ms in one.ms:
            if ms <= scale.high:
                drawing.dot(scale(ms), middle + jitter.uniform(-7, 7), 2, f"{colour} faint", f"{ms:.2f} ms")
        drawing.bar(scale(one.median) - 1.5, middle - 13, 3, 26, colour, f"median {one.median:.2f} ms")
    return drawing.render()


def stages(videos: Sequence[VideoResult]) -> str:
    """One bar for each model: the stages' medians end to end (they overlap in time)."""
    row, top = 58.0, 30.0
    bottom = top + row * len(videos)
    drawing = Drawing(_WIDTH, bottom + 48, "Stages of a video run")
    longest = max(sum(one.median_ms for one in video.stages.values()) for video in videos)
    scale = Scale(0, longest * 1.04, _LEFT, _WIDTH - _RIGHT)
    drawing.legend(_LEFT, 14, [(f"c{number}", stage.value) for number, stage in enumerate(Stage)])
    drawing.bottom_axis(scale, top, bottom, "milliseconds for one frame, medians laid end to end")
    for index, video in enumerate(videos):
        y, ms = top + row * index + 24, 0.0
        drawing.text(_LEFT, y - 7, f"{video.name}: {video.frames_per_second:.2f} frames/s", "label")
        for number, stage in enumerate(Stage):
            times = video.stages.get(stage.value)
            if times is not None:
                width = scale(ms + times.median_ms) - scale(ms)
                drawing.bar(scale(ms), y, width, 22, f"c{number}", f"{stage.value}: {times.median_ms:.2f} ms")
                ms += times.median_ms
    return drawing.render()


def published(table: PublishedTable) -> str:
    """Accuracy over frame rate, as printed in the paper."""
    left, top, bottom = 44.0, 36.0, 372.0
    drawing = Drawing(_WIDTH, bottom + 48, f"Published: {table.title}")
    rates = [point.frames_per_second for point in table.points]
    scores = [point.miou for point in table.points]
    x = Scale(0, max(rates) * 1.12, left, _WIDTH - 12)
    y = Scale(min(scores) - 1.5, max(scores) + 1.5, bottom, top)
    drawing.bottom_axis(x, top, bottom, "published frames per second")
    drawing.left_axis(y, left, _WIDTH - 12, "mIoU % (test)")
    places = [(x(point.frames_per_second), y(point.miou)) for point in table.points]
    taken = [_Box(px - 5, py - 5, px + 5, py + 5) for px, py in places]
    for point, (px, py) in zip(table.points, places, strict=True):
        tip = f"{point.name}: {point.miou} %, {point.frames_per_second} frames/s (published)"
        drawing.dot(px, py, 6 if point.hyperseg else 4, "c1" if point.hyperseg else "other", tip)
    for point, (px, py) in sorted(zip(table.points, places, strict=True), key=lambda pair: not pair[0].hyperseg):
        box = _free_place((9.2 if point.hyperseg else 7.2) * len(point.name), px, py, taken)
        taken.append(box)
        drawing.text(box.left + _GAP, box.bottom - 3, point.name, "strong" if point.hyperseg else "tick")
    return drawing.render()


@dataclass(frozen=True)
class _Box:
    """The bounding box of a label or a dot."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        apart = (
            self.right <= other.left or other.right <= self.left or self.bottom <= other.top or other.bottom <= self.top
        )
        return not apart


def _free_place(width: float, x: float, y: float, taken: Sequence[_Box]) -> _Box:
    """The position of a point's name: the first one around it that overlaps nothing, else to its right."""
    sides = [
        (x + 6 + _GAP, 7.0),
        (x - 6 - _GAP - width, 7.0),
        (x + 6, 20.0),
        (x + 6, -7.0),
        (x - 6 - width, 20.0),
        (x - 6 - width, -7.0),
    ]
    boxes = [_Box(left - _GAP, y + below - 14, left + width + _GAP, y + below) for left, below in sides]
    return next((box for box in boxes if not any(box.meets(other) for other in taken)), boxes[0])


@dataclass(frozen=True)
class Scale:
    """A linear scale from data to pixels."""

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
    """An SVG image under construction. Colours are CSS classes of the page."""

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

"""The plots of the HTML report, as SVG in the colours of the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from hyperseg_runtime.benchmark.profile import Profile
from hyperseg_runtime.benchmark.statistics import Distribution
from hyperseg_runtime.benchmark.video import VideoResult
from hyperseg_runtime.timing import Stage

_WIDTH = 860.0
_LEFT, _RIGHT = 20.0, 20.0
_LONGEST_NAME = 80
"""Characters of a label that fit in the width."""


def latency(distributions: Sequence[Distribution]) -> str:
    """One row of dots for each model: every run, the 5th to 95th percentile, the median and the mean."""
    row, top = 66.0, 12.0
    bottom = top + row * len(distributions)
    drawing = Drawing(_WIDTH, bottom + 48, "Latency distribution")
    # Single stalls of the machine would compress everything else: the axis ends at the 99th percentiles.
    low = min(one.percentile(0) for one in distributions)
    high = max(low * 1.02, *(one.percentile(99) for one in distributions))
    margin = 0.06 * (high - low)
    scale = Scale(max(0.0, low - margin), high + margin, _LEFT, _WIDTH - _RIGHT)
    drawing.bottom_axis(scale, top, bottom, "milliseconds for one run")
    jitter = np.random.default_rng(0)
    for number, one in enumerate(distributions):
        colour = f"c{number % 5}"
        middle = top + row * number + row * 0.66
        beyond = sum(ms > scale.high for ms in one.ms)
        hidden = f", {beyond} of {len(one.ms)} runs beyond the axis" if beyond else ""
        words = f"{shortened(one.name)}: median {one.median:.2f} ms, mean {one.mean:.2f} ms{hidden}"
        drawing.text(_LEFT, middle - 22, words, "label")
        spread = scale(one.percentile(95)) - scale(one.percentile(5))
        drawing.bar(scale(one.percentile(5)), middle - 9, spread, 18, f"{colour} band", "5th to 95th percentile")
        for ms in one.ms:
            if ms <= scale.high:
                drawing.dot(scale(ms), middle + jitter.uniform(-7, 7), 2, f"{colour} faint", f"{ms:.2f} ms")
        drawing.bar(scale(one.median) - 1.5, middle - 13, 3, 26, colour, f"median {one.median:.2f} ms")
        if one.mean <= scale.high:
            drawing.ring(scale(one.mean), middle, 5, colour, f"mean {one.mean:.2f} ms")
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
        drawing.text(_LEFT, y - 7, f"{shortened(video.name)}: {video.frames_per_second:.2f} frames/s", "label")
        for number, stage in enumerate(Stage):
            times = video.stages.get(stage.value)
            if times is not None:
                width = scale(ms + times.median_ms) - scale(ms)
                drawing.bar(scale(ms), y, width, 22, f"c{number}", f"{stage.value}: {times.median_ms:.2f} ms")
                ms += times.median_ms
    return drawing.render()


def parts(profile: Profile) -> str:
    """One bar for each part of the network: its share of the time of a run."""
    row, top, bars = 26.0, 6.0, 190.0
    bottom = top + row * len(profile.parts)
    drawing = Drawing(_WIDTH, bottom + 48, f"Time by part of {profile.model}")
    scale = Scale(0, max(one.ms for one in profile.parts) * 1.18, bars, _WIDTH - _RIGHT)
    drawing.bottom_axis(scale, top, bottom, "milliseconds in one run")
    for number, one in enumerate(profile.parts):
        y = top + row * number
        drawing.text(bars - 10, y + 17, one.name, "label", "end")
        drawing.bar(bars, y + 5, scale(one.ms) - bars, row - 10, "c0", f"{one.name}: {one.ms:.3f} ms")
        drawing.text(scale(one.ms) + 6, y + 17, f"{one.ms:.2f} ms, {one.ms / profile.total_ms:.1%}", "tick")
    return drawing.render()


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

    def ring(self, x: float, y: float, radius: float, style: str, tip: str = "") -> None:
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{style} ring">{_tip(tip)}</circle>'
        )

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

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """A row of coloured squares with names: pairs of style and name."""
        for style, name in entries:
            self.bar(x, y - 9, 10, 10, style)
            self.text(x + 15, y, name, "tick")
            x += 30 + 7.2 * len(name)

    def render(self) -> str:
        head = f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{escape(self.title)}">'
        return "\n".join([head, *self._parts, "</svg>"])


def shortened(name: str) -> str:
    """A name that fits in a label: its beginning and its end."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _tip(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""

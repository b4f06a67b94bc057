"""The report's plots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperseg_runtime.benchmark.measure import Distribution
from hyperseg_runtime.benchmark.published import PublishedPoint, PublishedTable
from hyperseg_runtime.benchmark.svg import Drawing, Scale
from hyperseg_runtime.benchmark.video import VideoResult
from hyperseg_runtime.stages import Stage

_WIDTH = 860.0
_LEFT, _RIGHT = 20.0, 20.0


def latency(distributions: Sequence[Distribution]) -> str:
    """One row of dots for each model: every repetition, the 5th to 95th percentile, the median."""
    row, top = 66.0, 12.0
    bottom = top + row * len(distributions)
    drawing = Drawing(_WIDTH, bottom + 48, "Latency distribution")
    # Single stalls of the machine would squeeze everything else together: the axis ends at the 99th percentiles.
    low = min(one.percentile(0) for one in distributions)
    high = max(low * 1.02, *(one.percentile(99) for one in distributions))
    margin = 0.06 * (high - low)
    scale = Scale(low - margin, high + margin, _LEFT, _WIDTH - _RIGHT)
    drawing.bottom_axis(scale, top, bottom, "milliseconds for one image")
    jitter = np.random.default_rng(0)
    for number, one in enumerate(distributions):
        colour = f"c{number % 5}"
        middle = top + row * number + row * 0.66
        drawing.text(_LEFT, middle - 26, one.name, "label")
        spread = scale(one.percentile(95)) - scale(one.percentile(5))
        drawing.bar(scale(one.percentile(5)), middle - 9, spread, 18, f"{colour} band", "5th to 95th percentile")
        for ms in one.ms:
            if ms <= scale.high:
                drawing.dot(scale(ms), middle + jitter.uniform(-7, 7), 2, f"{colour} faint", f"{ms:.2f} ms")
        drawing.bar(scale(one.median) - 1.5, middle - 13, 3, 26, colour, f"median {one.median:.2f} ms")
        place = scale(one.median)
        anchor = "end" if place > _WIDTH * 0.8 else "start"
        drawing.text(place + (6 if anchor == "start" else -6), middle - 17, f"{one.median:.1f} ms", "value", anchor)
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
    width, height, left, bottom = 560.0, 400.0, 44.0, 352.0
    drawing = Drawing(width, height, f"Published: {table.title}")
    rates = [point.frames_per_second for point in table.points]
    scores = [point.miou for point in table.points]
    x = Scale(0, max(rates) * 1.12, left, width - 12)
    y = Scale(min(scores) - 1.5, max(scores) + 1.5, bottom, 36)
    drawing.bottom_axis(x, 36, bottom, "published frames per second")
    drawing.left_axis(y, left, width - 12, "mIoU % (test)")
    taken: list[tuple[float, float]] = []
    for point in sorted(table.points, key=lambda one: -one.miou):
        _published_point(drawing, point, x(point.frames_per_second), y(point.miou), taken)
    return drawing.render()


def _published_point(
    drawing: Drawing, point: PublishedPoint, x: float, y: float, taken: list[tuple[float, float]]
) -> None:
    tip = f"{point.name}: {point.miou} %, {point.frames_per_second} frames/s (published)"
    drawing.dot(x, y, 6 if point.hyperseg else 4, "c1" if point.hyperseg else "other", tip)
    anchor = "end" if x > drawing.width * 0.72 else "start"
    offset = -9 if anchor == "end" else 9
    line = y + 4
    # Names of neighbouring points would lie on each other: move this one down until it is free.
    while any(abs(line - other_y) < 12 and abs(x - other_x) < 110 for other_x, other_y in taken):
        line += 6
    taken.append((x, line))
    drawing.text(x + offset, line, point.name, "strong" if point.hyperseg else "tick", anchor)

"""Protocol D: images per second of batches, and of several sessions that run at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from hyperseg_runtime import machine
from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.benchmark.measure import Series, measure, one_line
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.statistics import Distribution
from hyperseg_runtime.benchmark.subject import Subject, all_labels, natural_images
from hyperseg_runtime.segmenter import Segmenter

BATCHES = (1, 2, 4, 8)
STREAMS = (2, 4)
_RUNS = 2
"""Runs of each stream in one timed round, so that the streams overlap for most of it."""
_WARM_UP = 1
_SHARE, _FEWEST_ROUNDS = 10, 3
"""One round for every ten repetitions of protocol A: a round has many images."""


@dataclass(frozen=True)
class Point:
    """A way to run a model: images of one run, and sessions at once with their CPU threads."""

    batch: int
    streams: int
    threads: tuple[int, ...]
    """Of each stream."""

    def __str__(self) -> str:
        return f"batch {self.batch}, {self.streams} stream{'s' if self.streams > 1 else ''}"


@dataclass(frozen=True)
class Throughput:
    """The times of one model at one point; `times.images` are those of a round, over all streams."""

    point: Point
    times: Distribution
    speed_up: float | None
    """frames/s over those of the smallest batch in one stream; None if these were not measured."""

    def to_dict(self) -> dict[str, object]:
        return {
            "batch": self.point.batch,
            "streams": self.point.streams,
            "threads": list(self.point.threads),
            "speed_up": self.speed_up,
            **self.times.to_dict(),
        }


def rounds(repetitions: int) -> int:
    """Timed rounds of each point, for the repetitions of protocols A and B."""
    return max(_FEWEST_ROUNDS, repetitions // _SHARE)


def points_of(subject: Subject) -> tuple[list[Point], list[str]]:
    """The points of a model, and one line for each that is left out, with the reason."""
    threads = subject.opening.threads or machine.inference_threads()
    least, most = subject.segmenter.session.batch_range
    batches = [batch for batch in BATCHES if subject.takes(batch)] or [least]
    points = [Point(batch, 1, (threads,)) for batch in batches]
    left_out = []
    if len(batches) == 1:
        taken = f"at most {most} images" if least == 1 and most != 1 else f"{least} image{'s' if least > 1 else ''}"
        left_out.append(f"{subject.name} takes {taken} at once: no other batches (hyperseg-export --dynamic has them)")
    for streams in STREAMS:
        if not subject.on_gpu and threads < streams:
            text = machine.threads_text(threads)
            left_out.append(f"{subject.name}: {text} cannot be divided among {streams} streams, left out")
            continue
        each = tuple(threads // streams + (number < threads % streams) for number in range(streams))
        points.append(Point(batches[0], streams, each))
    return points, left_out


@dataclass(frozen=True)
class _Round:
    """A `Timed` round: every stream runs `_RUNS` times, all at the same time."""

    name: str
    point: Point
    segmenters: Sequence[Segmenter]
    pools: Sequence[Sequence[Images]]
    threads: ThreadPoolExecutor

    @property
    def images(self) -> int:
        return self.point.batch * self.point.streams * _RUNS

    def seconds(self, number: int) -> float:
        start = time.perf_counter()
        running = [
            self.threads.submit(_stream, segmenter, pool, number)
            for segmenter, pool in zip(self.segmenters, self.pools, strict=True)
        ]
        for one in running:
            one.result()
        return time.perf_counter() - start


def _stream(segmenter: Segmenter, pool: Sequence[Images], number: int) -> None:
    for step in range(_RUNS):
        all_labels(segmenter.session.run(pool[(number * _RUNS + step) % len(pool)]))


@dataclass
class ThroughputRun:
    """Measures all models point by point, interleaved within a point. What is measured stays after an interruption."""

    subjects: Sequence[Subject]
    repetitions: int
    on_round: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.series: list[tuple[Point, Series]] = []
        self.notes: list[str] = []
        self.failures: list[tuple[str, str, str]] = []
        """Model, point and error."""
        self._points: dict[str, list[Point]] = {}
        for subject in self.subjects:
            self._points[subject.name], left_out = points_of(subject)
            self.notes += left_out

    @property
    def total_rounds(self) -> int:
        return len(self._ways()) * rounds(self.repetitions)

    def run(self) -> None:
        for batch, streams in self._ways():
            with ExitStack() as stack:
                found = []
                for subject in self.subjects:
                    wanted = (one for one in self._points[subject.name] if (one.batch, one.streams) == (batch, streams))
                    point = next(wanted, None)
                    if point is None:
                        continue
                    try:
                        found.append((point, Series(_open(stack, subject, point))))
                    except Exception as error:  # memory, most likely: the other points are kept
                        self.failures.append((subject.name, str(point), one_line(error)))
                self.series += found
                measure(
                    [series for _, series in found],
                    rounds(self.repetitions),
                    warm_up=_WARM_UP,
                    on_round=self.on_round,
                )
                self.failures += [(one.timed.name, str(point), one.error) for point, one in found if one.error]

    def _ways(self) -> list[tuple[int, int]]:
        return sorted({(one.batch, one.streams) for points in self._points.values() for one in points})

    @property
    def results(self) -> list[Throughput]:
        """By model, as far as they were measured."""
        found = []
        for subject in self.subjects:
            own = [
                (point, Distribution(one.timed.name, Protocol.THROUGHPUT, tuple(one.ms), one.timed.images))
                for point, one in self.series
                if one.timed.name == subject.name and one.ms
            ]
            first = next((times for point, times in own if point == self._points[subject.name][0]), None)
            for point, times in sorted(own, key=lambda pair: (pair[0].streams, pair[0].batch)):
                speed_up = None if first is None else times.frames_per_second / first.frames_per_second
                found.append(Throughput(point, times, speed_up))
        return found


def _open(stack: ExitStack, subject: Subject, point: Point) -> _Round:
    segmenters = [subject.segmenter]
    if point.streams > 1:
        subject.check_unchanged()
        segmenters = []
        for threads in point.threads:
            opened = replace(subject.opening, threads=threads).open(subject.path)
            segmenters.append(stack.enter_context(opened))
    pools = [natural_images(one, point.batch, 2, seed=number) for number, one in enumerate(segmenters)]
    workers = stack.enter_context(ThreadPoolExecutor(point.streams, "hyperseg-stream"))
    return _Round(subject.name, point, segmenters, pools, workers)

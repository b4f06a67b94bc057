"""Timing of the stages of a run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
_KEPT = 10_000
"""Number of durations kept for each stage, the newest ones, so that memory stays bounded."""


class Stage(str, Enum):
    """The stages of a run, in order. Each is timed in one thread only."""

    DECODE = "decode"
    PREPROCESS = "preprocess"
    INFERENCE = "inference"
    POSTPROCESS = "postprocess"
    ENCODE = "encode"


@dataclass(frozen=True)
class StageSummary:
    """Milliseconds per frame of one stage."""

    median_ms: float
    p95_ms: float
    mean_ms: float

    def to_dict(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in vars(self).items()}


class StageClock:
    """Collects the durations of the stages."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, deque[float]] = {stage: deque(maxlen=_KEPT) for stage in Stage}

    @contextmanager
    def measure(self, stage: Stage) -> Generator[None, None, None]:
        start = time.perf_counter()
        yield
        self._seconds[stage].append(time.perf_counter() - start)

    def timed(self, stage: Stage, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the same items; the time to obtain each is measured as `stage`."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._seconds[stage].append(time.perf_counter() - start)
            yield item

    def latest_ms(self, stage: Stage) -> float | None:
        seconds = self._seconds[stage]
        return seconds[-1] * 1e3 if seconds else None

    def summary(self) -> dict[Stage, StageSummary]:
        """Medians, 95th percentiles and means of the stages that ran."""
        found = {}
        for stage, seconds in self._seconds.items():
            if seconds:
                ms = np.fromiter(seconds, float) * 1e3
                median, p95 = np.percentile(ms, (50, 95))
                found[stage] = StageSummary(float(median), float(p95), float(ms.mean()))
        return found

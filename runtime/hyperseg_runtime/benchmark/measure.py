"""Interleaved measurement of several models: distributions, and ratios with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.benchmark.protocols import Entry, Protocol

NOISY = 0.10
"""Coefficient of variation above which the report has a warning."""
_RESAMPLES = 2000


@dataclass(frozen=True)
class Distribution:
    """Milliseconds of one model under one protocol."""

    name: str
    protocol: Protocol
    ms: tuple[float, ...]
    """Every repetition, in the order measured."""

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.ms, share))

    @property
    def median(self) -> float:
        return self.percentile(50)

    @property
    def frames_per_second(self) -> float:
        """n / Δt, as the protocol defines it: the reciprocal of the mean."""
        return 1e3 / float(np.mean(self.ms))

    @property
    def variation(self) -> float:
        """Coefficient of variation: standard deviation over mean."""
        return float(np.std(self.ms, ddof=1) / np.mean(self.ms)) if len(self.ms) > 1 else 0.0

    @property
    def noisy(self) -> bool:
        return self.variation > NOISY

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.name,
            "protocol": self.protocol.value,
            "protocol_title": self.protocol.title,
            "repetitions": len(self.ms),
            "median_ms": self.median,
            "p5_ms": self.percentile(5),
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
            "min_ms": min(self.ms),
            "mean_ms": float(np.mean(self.ms)),
            "frames_per_second": self.frames_per_second,
            "coefficient_of_variation": self.variation,
            "noisy": self.noisy,
            "ms": [round(value, 4) for value in self.ms],
        }


@dataclass(frozen=True)
class Ratio:
    """Time of a model over time of the first one, measured side by side on this machine: below 1 is faster."""

    name: str
    baseline: str
    protocol: Protocol
    ratio: float
    low: float
    high: float
    """95 % confidence interval."""

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.name,
            "baseline": self.baseline,
            "protocol": self.protocol.value,
            "time_ratio": self.ratio,
            "confidence_95": [self.low, self.high],
        }


def measure(
    entries: Sequence[Entry],
    protocol: Protocol,
    repetitions: int,
    *,
    warm_up: int,
    seed: int = 0,
    on_round: Callable[[], None] = lambda: None,
) -> list[Distribution]:
    """Times every model `repetitions` times. Each round runs all models once, in a new random order, so that heat,
    other load and clock changes affect all of them alike."""
    for entry in entries:
        for number in range(warm_up):
            entry.seconds(protocol, number)
    rng = np.random.default_rng(seed)
    collected: list[list[float]] = [[] for _ in entries]
    for number in range(repetitions):
        for index in rng.permutation(len(entries)):
            collected[index].append(entries[index].seconds(protocol, number) * 1e3)
        on_round()
    return [Distribution(entry.name, protocol, tuple(ms)) for entry, ms in zip(entries, collected, strict=True)]


def ratios(distributions: Sequence[Distribution], seed: int = 0) -> list[Ratio]:
    """Every model's median over the first one's, with a bootstrap interval.

    Rounds are resampled with replacement, for both models together, since a disturbance affects a whole round.
    """
    base, *others = distributions
    first = np.asarray(base.ms)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(first), (_RESAMPLES, len(first)))
    return [_ratio(base, other, first, np.asarray(other.ms), drawn) for other in others]


def _ratio(
    base: Distribution,
    other: Distribution,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    drawn: NDArray[np.int64],
) -> Ratio:
    resampled = np.median(second[drawn], axis=1) / np.median(first[drawn], axis=1)
    low, high = np.percentile(resampled, (2.5, 97.5))
    ratio = float(np.median(second) / np.median(first))
    return Ratio(other.name, base.name, base.protocol, ratio, float(low), float(high))

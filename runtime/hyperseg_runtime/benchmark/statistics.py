"""Statistics of repeated times: distributions, groups of times, drift, and ratios with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.benchmark.protocols import Protocol

NOISY = 0.10
"""Coefficient of variation above which the times are called noisy."""
DEFINITIONS = {
    "frames/s": "images per run / median time of a run (the headline)",
    "mean frames/s": "images per run / mean time",
    "p5, p95, p99": "percentiles of the runs",
    "variation": "standard deviation / mean",
}
"""The columns of a table of times, for its note, --help and the record."""
_SMALLEST_GROUP, _FEWEST_IN_GROUP = 0.1, 5
"""Share of the runs, and number of them. With three, one in ten small samples of a single group would look like two."""
_LEAST_DISTANCE = 0.10
_SEPARATION = 5.0
"""Ashman's D (Ashman, Bird, Zepf 1994) above which two groups are apart. Theirs is 2, for groups known beforehand; the
best cut of a normal, log-normal or exponential distribution exceeds 5 in at most 3 % of the cases, whatever the number
of runs, that of a uniform one in up to 10 %."""
_DRIFT = 0.05
_FEWEST_FOR_DRIFT = 9
_RESAMPLES = 2000
FEWEST_FOR_INTERVAL = 3
FEWEST_FOR_PERCENTILES = 20
"""Runs below which a 95th percentile is little more than the maximum."""


@dataclass(frozen=True)
class Groups:
    """Two separate groups of times: fast and slow, with the number of runs and the median of each."""

    fast_runs: int
    fast_ms: float
    slow_runs: int
    slow_ms: float

    def __str__(self) -> str:
        return f"{self.fast_runs} runs around {self.fast_ms:.4g} ms, {self.slow_runs} around {self.slow_ms:.4g} ms"

    def to_dict(self) -> dict[str, object]:
        return dict(vars(self))


@dataclass(frozen=True)
class Distribution:
    """Milliseconds of the runs of one model under one protocol."""

    name: str
    protocol: Protocol
    ms: tuple[float, ...]
    """Every run, in the order measured; at least one."""
    images: int = 1
    """Images per run."""

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.ms, share))

    @property
    def median(self) -> float:
        return self.percentile(50)

    @property
    def mean(self) -> float:
        return float(np.mean(self.ms))

    @property
    def frames_per_second(self) -> float:
        """The headline: images per run over the median time."""
        return 1e3 * self.images / self.median

    @property
    def mean_frames_per_second(self) -> float:
        """Images over total time."""
        return 1e3 * self.images / self.mean

    @property
    def variation(self) -> float:
        """Coefficient of variation: standard deviation over mean."""
        return float(np.std(self.ms, ddof=1) / np.mean(self.ms)) if len(self.ms) > 1 else 0.0

    @property
    def noisy(self) -> bool:
        return self.variation > NOISY

    @property
    def groups(self) -> Groups | None:
        """The two groups of times where there are two, none of them a few outliers; None for one group."""
        return two_groups(self.ms)

    @property
    def drift(self) -> float | None:
        """Change of the median from the first third of the runs to the last, relative; None if it is small."""
        third = len(self.ms) // 3
        if len(self.ms) < _FEWEST_FOR_DRIFT:
            return None
        change = float(np.median(self.ms[-third:]) / np.median(self.ms[:third])) - 1
        return change if abs(change) > _DRIFT else None

    def to_dict(self) -> dict[str, object]:
        groups = self.groups
        return {
            "model": self.name,
            "protocol": self.protocol.value,
            "protocol_title": self.protocol.title,
            "repetitions": len(self.ms),
            "images_per_run": self.images,
            "median_ms": self.median,
            "mean_ms": self.mean,
            "min_ms": min(self.ms),
            "p5_ms": self.percentile(5),
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
            "frames_per_second": self.frames_per_second,
            "mean_frames_per_second": self.mean_frames_per_second,
            "coefficient_of_variation": self.variation,
            "noisy": self.noisy,
            "two_groups": None if groups is None else groups.to_dict(),
            "ms": [round(value, 4) for value in self.ms],
        }


def two_groups(ms: Sequence[float]) -> Groups | None:
    """Splits the times where the variance within the two halves is smallest (Otsu), and tests the halves.

    Both must hold 10 % of the runs and five of them, their medians must differ by 10 %, and their means must be
    far apart for their spread.
    """
    times = np.sort(np.asarray(ms, dtype=float))
    fewest = max(_FEWEST_IN_GROUP, int(np.ceil(_SMALLEST_GROUP * len(times))))
    if 2 * fewest > len(times):
        return None
    centred = times - times.mean()
    counts = np.arange(1, len(times) + 1)
    sums, squares = np.cumsum(centred), np.cumsum(centred**2)
    # The sum of squared distances to the half's own mean; the mean of all is 0.
    left = squares - sums**2 / counts
    right = squares[-1] - squares[:-1] - sums[:-1] ** 2 / counts[:-1][::-1]
    within = left[:-1] + right
    cut = fewest + int(np.argmin(within[fewest - 1 : len(times) - fewest]))
    fast, slow = times[:cut], times[cut:]
    distance = float(slow.mean() - fast.mean())
    spread = float(np.sqrt(fast.var() + slow.var()))
    near = np.median(slow) < (1 + _LEAST_DISTANCE) * np.median(fast)
    if near or np.sqrt(2) * distance <= _SEPARATION * spread:
        return None
    return Groups(len(fast), float(np.median(fast)), len(slow), float(np.median(slow)))


@dataclass(frozen=True)
class Ratio:
    """Time per image of a model over that of the first, measured side by side on this machine: below 1 is faster."""

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
            "confidence_interval_95": [self.low, self.high],
        }


def ratios(distributions: Sequence[Distribution], seed: int = 0) -> list[Ratio]:
    """Every model's median time per image over the first one's, with a bootstrap interval.

    Rounds are resampled with replacement, for both models together, since a disturbance affects a whole round. Where
    a model has fewer rounds than the others (it failed, or the run was interrupted), only its rounds are compared.
    """
    if not distributions:
        return []
    base, *others = distributions
    rng = np.random.default_rng(seed)
    found = []
    for other in others:
        rounds = min(len(base.ms), len(other.ms))
        if rounds >= FEWEST_FOR_INTERVAL:
            drawn = rng.integers(0, rounds, (_RESAMPLES, rounds))
            found.append(_ratio(base, other, drawn))
    return found


def _ratio(base: Distribution, other: Distribution, drawn: NDArray[np.int64]) -> Ratio:
    rounds = drawn.shape[1]
    first, second = (np.asarray(one.ms[:rounds]) / one.images for one in (base, other))
    resampled = np.median(second[drawn], axis=1) / np.median(first[drawn], axis=1)
    low, high = np.percentile(resampled, (2.5, 97.5))
    ratio = float(np.median(second) / np.median(first))
    return Ratio(other.name, base.name, base.protocol, ratio, float(low), float(high))

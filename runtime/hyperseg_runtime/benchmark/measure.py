"""Interleaved measurement: every model runs once a round, and one that fails leaves the others running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hyperseg_runtime.errors import HyperSegError


class Timed(Protocol):
    """Something to time."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def images(self) -> int:
        """Images of one run."""

    def seconds(self, number: int) -> float:
        """Runs once and returns the time; `number` chooses the images."""


@dataclass
class Series:
    """The runs of one model so far. It stays valid where a measurement ends early."""

    timed: Timed
    ms: list[float] = field(default_factory=list)
    """One for each round, until the model failed."""
    error: str | None = None

    def run(self, number: int) -> float | None:
        """Runs once, in milliseconds; after a failure None, then and from then on."""
        if self.error is not None:
            return None
        try:
            return self.timed.seconds(number) * 1e3
        except Exception as error:  # whatever it is, the other models' results are kept
            self.error = one_line(error)
            return None


def one_line(error: Exception) -> str:
    """An error's message; the type is part of it unless the message is ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, HyperSegError) else f"{type(error).__name__}: {text}"


def measure(
    series: Sequence[Series],
    repetitions: int,
    *,
    warm_up: int,
    seed: int = 0,
    on_round: Callable[[], None] = lambda: None,
) -> None:
    """Times every model `repetitions` times, into `series`.

    Each round runs all models once, in a new random order, so that heat, other load and clock changes affect all of
    them alike. KeyboardInterrupt leaves the runs until then in `series`.
    """
    for one in series:
        for number in range(warm_up):
            one.run(number)
    rng = np.random.default_rng(seed)
    for number in range(repetitions):
        for index in rng.permutation(len(series)):
            ms = series[index].run(number)
            if ms is not None:
                series[index].ms.append(ms)
        on_round()

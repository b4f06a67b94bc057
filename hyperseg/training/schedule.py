"""Learning rates over a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then polynomial decay: factor (1 - i/t)^power at iteration i of t."""

    iterations: int
    warmup: int = 0
    power: float = 0.9

    def factor(self, iteration: int) -> float:
        """What the initial learning rates are multiplied by at `iteration`."""
        rise = min(1.0, (iteration + 1) / (self.warmup + 1))
        return float(rise * max(0.0, 1 - iteration / self.iterations) ** self.power)

"""When a live source counts as lost, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass

STALL_SECONDS = 10.0


@dataclass(frozen=True)
class Reconnection:
    """Exponential back-off with jitter, so that many sources of one failed switch do not all come back at once."""

    attempts: int | None = None
    """Attempts in a row before a source is given up; None: no limit; 0: it is not tried again."""
    stall_seconds: float = STALL_SECONDS
    """A source that sends no frame for so long is lost."""
    first_seconds: float = 0.5
    longest_seconds: float = 30.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` (1, 2, ...) losses in a row. chance: 0 to 1, at random."""
        full = min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return full * (1 + chance) / 2

    def gives_up(self, failures: int) -> bool:
        """Whether there is no further attempt after `failures` losses in a row."""
        return self.attempts is not None and failures > self.attempts

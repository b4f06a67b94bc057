"""Numbers and times of a source's frames, continuous over its connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from hyperseg_runtime.video.sources import SourceFrame

_MILLISECOND = Fraction(1, 1000)


class Timekeeper:
    """Places the frames of all connections on one axis, whose gaps are as long as the outages were.

    Within a connection frames keep the distances that the source states; where it states none, they have the times of
    their arrival.
    """

    def __init__(self, stem: str, clock: Callable[[], float]) -> None:
        """stem: of the names of frames. clock: monotonic, in seconds."""
        self._stem, self._clock = stem, clock
        self._zero: float | None = None
        """The clock at time 0."""
        self._last = Fraction(0)
        self._next_index = 0

    def elapsed(self) -> Fraction:
        """Seconds since time 0 by the clock, to the millisecond."""
        return Fraction(0) if self._zero is None else round((self._clock() - self._zero) / _MILLISECOND) * _MILLISECOND

    def placement(self, untimed: bool = False, from_zero: bool = False) -> TimePlacement:
        """For a new connection.

        untimed: its source states no times. from_zero: if it is the first one, its first frame has the time 0, and not
        that of the source, which sound goes by.
        """
        return TimePlacement(self, untimed, from_zero)

    def _begin(self, frame: SourceFrame, from_zero: bool) -> tuple[Fraction, int]:
        """What to add to the times and numbers of a connection, given its first frame."""
        if self._zero is None:
            shift = -frame.time if from_zero else Fraction(0)
            self._zero = self._clock() - float(frame.time + shift)
            return shift, 0
        return max(self.elapsed(), self._last + _MILLISECOND) - frame.time, self._next_index - frame.index

    def _placed(self, frame: SourceFrame, time: Fraction, index: int) -> SourceFrame:
        self._last, self._next_index = max(time, self._last), index + 1
        return replace(frame, time=time, index=index, name=f"{self._stem}_{index:06d}")


class TimePlacement:
    """The frames of one connection on the axis of their source."""

    def __init__(self, keeper: Timekeeper, untimed: bool, from_zero: bool) -> None:
        self._keeper, self._untimed, self._from_zero = keeper, untimed, from_zero or untimed
        self._shift: tuple[Fraction, int] | None = None

    def placed(self, frame: SourceFrame) -> SourceFrame:
        """The frame with its time and number in the whole run."""
        keeper = self._keeper
        if self._shift is None:
            self._shift = keeper._begin(frame, self._from_zero)
        time = frame.time + self._shift[0]
        if self._untimed:
            time = max(keeper.elapsed(), keeper._last + _MILLISECOND) if keeper._next_index else Fraction(0)
        return keeper._placed(frame, time, frame.index + self._shift[1])

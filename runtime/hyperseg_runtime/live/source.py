"""`LiveSource`: a camera or stream that is connected again when it is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

from hyperseg_runtime.live.connection import Ending, Reading
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.live.timekeeping import Timekeeper, TimePlacement
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection, SourceFrame

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 2.0
"""FFmpeg's own time limit comes first, since it says more."""
_MOST_STUCK = 3
"""Connections of one source whose threads a driver does not let go. With so many, no further one is made."""


class Connect(Protocol):
    """Begins a connection."""

    def __call__(self, selection: Selection, with_sound: bool) -> Reading: ...


@dataclass(frozen=True)
class Losses:
    """What a source lost."""

    dropped: int
    """Frames that were replaced by newer ones before the network had time for them."""
    reconnections: int
    outage_seconds: float
    """Time from a last frame to the first one of the next connection."""


class LiveSource:
    """A VideoSource over any number of connections, each read by a thread of its own; never waits for one of them.

    A source that proves to be a file on a server is read once, with all its frames. One whose server states no length
    and sends it slowly does so only when it begins again.
    """

    def __init__(
        self,
        name: str,
        stem: str,
        connect: Connect,
        selection: Selection,
        reconnection: Reconnection,
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """name: for messages. stem: of names of files. note: receives one line when the source is lost or back."""
        self._name, self._connect, self._selection = name, connect, selection
        self._reconnection, self._note, self._clock, self._chance = reconnection, note, clock, chance
        self._keeper = Timekeeper(stem, clock)
        self._placement: TimePlacement | None = None
        self._reading: Reading | None = None
        self._first: Reading | None = None
        """The connection with the first frame."""
        self._next_frame: SourceFrame | None = None
        self._stuck: list[Reading] = []
        self._retry_at = self._began = clock()
        self._failures, self._last_delay = 0, 0.0
        self._beginnings: set[bytes] = set()
        self._lost_by: str | None = None
        """Why the connection before was lost; None: it came to its end."""
        self._outage_since: float | None = None
        self._outage_seconds = 0.0
        self._reconnections = self._dropped = self._replaced = self._given = 0
        self._size: Size | None = None
        self._ended = threading.Event()
        self.problems: list[str] = []
        self.tried = False
        """Whether the first connection has given a frame or failed."""
        self.failure: str | None = None
        """Why there has been no frame so far."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def connected(self) -> bool:
        """Whether there has been a frame."""
        return self._first is not None

    @property
    def taken(self) -> int:
        """Frames that were given, without those that were replaced."""
        return self._given - self._replaced

    @property
    def away(self) -> bool:
        """Whether the source is lost at the moment, or has not answered yet."""
        return self._reading is None or self._outage_since is not None

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    @property
    def _answered(self) -> Reading:
        if self._first is None:
            raise ValueError(f"{self._name} has not given a frame yet")
        return self._first

    @property
    def live(self) -> bool:
        opened = self._answered.opened
        return opened is not None and opened.source.live

    @property
    def expected_frames(self) -> int | None:
        opened = self._answered.opened
        return self._selection.max_frames if self.live or opened is None else opened.source.expected_frames

    @property
    def rate(self) -> Fraction:
        return self._answered.timing.rate

    @property
    def time_base(self) -> Fraction:
        return self._answered.timing.time_base

    @property
    def sound(self) -> SoundTrack | None:
        """The sound of the first connection."""
        return self._answered.sound

    @property
    def losses(self) -> Losses:
        reading, since = self._reading, self._outage_since  # another thread may end them meanwhile
        dropped = self._dropped + self._replaced + (0 if reading is None else reading.dropped)
        outage = self._outage_seconds + (0.0 if since is None else self._clock() - since)
        return Losses(dropped, self._reconnections, outage)

    def frame_replaced(self) -> None:
        """Counts a frame that whoever reads `frames` dropped for a newer one; in the thread that reads them."""
        self._replaced += 1

    def await_frame(self) -> bool:
        """Waits for the next frame; False if the source ends or is stopped before. Raises what is no user's error."""
        while self._next_frame is None and not self.ended:
            self._next_frame = self.step()
            if self._next_frame is None:
                self._wait()
        return self._next_frame is not None

    def frames(self) -> Iterator[SourceFrame]:
        most = self._selection.max_frames
        try:
            while self.await_frame() and self._next_frame is not None:
                frame, self._next_frame = self._next_frame, None
                yield frame
                self._given += 1
                if self.taken == most:  # a frame that is replaced later is one of more
                    return
        finally:
            self._finish()

    def step(self) -> SourceFrame | None:
        """Does what is due, without waiting: takes a frame, notices a loss, or connects."""
        if self.ended:
            return None
        if self._reading is None:
            self._connect_if_due()
            return None
        frame = self._reading.take()
        if frame is not None:
            return self._taken(frame, self._reading)
        ending = self._reading.ending
        if ending is not None:
            self._conclude(ending, self._reading)
        elif self._stalled(self._reading):
            seconds = self._clock() - self._reading.last_sign
            self._stuck.append(self._reading)
            self._reading.abandon()
            self._lost_by = f"no frame for {seconds:.0f} s"
            self._lost(self._lost_by, self._reading)
            if len(self._stuck) == _MOST_STUCK:
                self._note(
                    f"{self._name}: {_MOST_STUCK} attempts hang in the system; the next one is made when one returns"
                )
        return None

    def _wait(self) -> None:
        if self._reading is None:
            self._ended.wait(_POLL_SECONDS)
        else:
            self._reading.wait()

    def _connect_if_due(self) -> None:
        length = self._length
        if self.connected and length is not None and self._keeper.elapsed() >= length:
            self._finish()
            return
        self._stuck = [reading for reading in self._stuck if reading.alive]
        if self._clock() < self._retry_at or len(self._stuck) >= _MOST_STUCK:
            return
        part = Selection(every=self._selection.every) if self.connected else replace(self._selection, max_frames=None)
        self._began = self._clock()
        self._placement = None
        self._reading = self._connect(part, with_sound=not self.connected)

    @property
    def _length(self) -> Fraction | None:
        return None if self._selection.end is None else self._selection.end - self._selection.start

    def _taken(self, frame: SourceFrame, reading: Reading) -> SourceFrame | None:
        if self._placement is None and self._begins_again(reading):
            self._end_with_file()
            return None
        if self._placement is None:
            opened = reading.opened
            from_zero = reading.sound is None and opened is not None and opened.source.live
            self._placement = self._keeper.placement(opened is not None and opened.untimed, from_zero)
        placed = self._placement.placed(frame)
        if self._first is None:
            if self.tried:
                self._note(f"{self._name}: answers now")
            self._first, self.tried, self.failure = reading, True, None
        if self._outage_since is not None:
            seconds = self._clock() - self._outage_since
            self._outage_since = None
            self._outage_seconds += seconds
            self._reconnections += 1
            silent = ", from here on without its sound" if self.sound is not None and self.sound.streams else ""
            self._note(f"{self._name}: back after {seconds:.1f} s{silent}")
        if self._size is not None and placed.size != self._size:
            before, now = (f"{width}x{height}" for height, width in (self._size, placed.size))
            self._note(f"{self._name}: its frames are {now} now, {before} before; a video keeps its first size")
        self._size = placed.size
        if self._length is not None and placed.time >= self._length:
            self._finish()
            return None
        return placed

    def _begins_again(self, reading: Reading) -> bool:
        """Whether this connection sends from its beginning what one before has sent."""
        if reading.beginning is None:
            return False
        known = reading.beginning in self._beginnings
        self._beginnings.add(reading.beginning)
        return known

    def _end_with_file(self) -> None:
        self._outage_since = None
        if self._lost_by is None:
            self._note(
                f"{self._name}: begins again with its first frame, so it is a file that is sent without its length; it "
                "was read once (--live-policy all keeps all frames of such a file)"
            )
        else:
            self.problems.append(
                f"{self._name}: lost ({self._lost_by}), and begins again with its first frame, so it is a file that is "
                "sent without its length; the frames before are kept"
            )
        self._finish()

    def _stalled(self, reading: Reading) -> bool:
        limit = self._reconnection.stall_seconds + _GRACE_SECONDS
        if reading.opened is None:
            limit += self._reconnection.stall_seconds  # to connect, and to find out what is sent
        else:
            limit += float(1 / reading.timing.rate)  # with --every, much longer than from frame to frame
            limit += 0.0 if self.connected else float(self._selection.start)
        return not reading.blocked and self._clock() - reading.last_sign > limit

    def _conclude(self, ending: Ending, reading: Reading) -> None:
        """A connection ended by itself: with the part that is wanted, with a file's end, or as a loss."""
        lives = reading.opened is None or reading.opened.source.live
        wanted = lives and ending.exhausted and self._reconnection.attempts != 0
        if self.connected and not wanted:
            self.problems += [*ending.problems, *([] if ending.failure is None else [ending.failure])]
            self._finish()
        else:
            self._lost(ending.failure or ending.stopped_by or "it ended", reading)
            if reading.frames or self._first is None:
                self._lost_by = ending.failure or ending.stopped_by

    def _lost(self, reason: str, reading: Reading) -> None:
        now = self._clock()
        if reading.frames and now - self._began >= self._last_delay:
            self._failures = 0
        self._failures += 1
        self._dropped += reading.dropped
        self._reading = None
        self._last_delay = self._reconnection.delay(self._failures, self._chance())
        self._retry_at = now + self._last_delay
        if not self.connected:
            self.failure = reason if self._name in reason else f"{self._name}: {reason}"
            self.tried = True
        elif self._outage_since is None:
            self._outage_since = reading.last_sign
            if not self._reconnection.gives_up(self._failures):
                self._note(f"{self._name}: lost ({reason}); trying again")
        if self._reconnection.gives_up(self._failures):
            if self.connected:
                tried = f", {self._failures - 1} attempts to reconnect failed" if self._failures > 1 else ""
                self.problems.append(f"{self._name}: lost ({reason}){tried}; the frames before are kept")
            self._finish()

    def _finish(self) -> None:
        """Ends the frames, and counts what is known by then."""
        reading, self._reading = self._reading, None
        if reading is not None:
            self._dropped += reading.dropped
            reading.abandon()
        if self._outage_since is not None:
            self._outage_seconds += self._clock() - self._outage_since
            self._outage_since = None
        self._ended.set()

    def stop(self) -> None:
        """Ends `frames` within a moment, from any thread."""
        self._ended.set()

    def close(self) -> None:
        """Ends everything; the sound cannot be read any more."""
        self._finish()
        if self._first is not None:
            self._first.release()

"""A live source whose clock and connections a test sets."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hyperseg_runtime.live.connection import Ending, Opened, Timing
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.live.source import LiveSource
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection, SourceFrame

RATE = Fraction(10)
WHOLE, JUST_ENDED = Selection(), Ending()


class Answering:
    """A source that has answered."""

    name, expected_frames, exhausted, stopped_by = "camera", 7, True, None
    rate, time_base = RATE, Fraction(1, 1000)

    def __init__(self, live: bool) -> None:
        self.live = live
        self.problems: list[str] = []

    def frames(self) -> Iterator[SourceFrame]:
        yield from ()

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Reading:
    """A connection without a thread: the test says what comes."""

    def __init__(self, selection: Selection, with_sound: bool, now: float) -> None:
        self.selection, self.with_sound, self.last_sign = selection, with_sound, now
        self.opened: Opened | None = None
        self.timing = Timing(RATE, Fraction(1, 1000))
        self.sound: SoundTrack | None = None
        self.frames = self.dropped = 0
        self.beginning: bytes | None = None
        self.ending: Ending | None = None
        self.blocked = self.abandoned = False
        self.alive = True
        self.waiting: list[SourceFrame] = []

    def take(self) -> SourceFrame | None:
        return self.waiting.pop(0) if self.waiting else None

    def wait(self) -> None:
        pytest.fail("nothing here waits")

    def abandon(self) -> None:
        self.abandoned = True

    def release(self) -> None: ...


class Scene:
    """A source, its clock, and the connections that it has made."""

    def __init__(self, selection: Selection = WHOLE, chance: float = 1.0, **how: float | int | None) -> None:
        self.now = 100.0
        self.readings: list[Reading] = []
        self.notes: list[str] = []
        reconnection = Reconnection(**how)  # type: ignore[arg-type]
        self.source = LiveSource(
            "cam", "cam", self._connect, selection, reconnection, self.notes.append, lambda: self.now, lambda: chance
        )

    def _connect(self, selection: Selection, with_sound: bool) -> Reading:
        self.readings.append(Reading(selection, with_sound, self.now))
        return self.readings[-1]

    def after(self, seconds: float) -> SourceFrame | None:
        self.now += seconds
        return self.source.step()

    def answers(self, *times: float, live: bool = True, size: tuple[int, int] = (4, 6), untimed: bool = False) -> None:
        """The newest connection gives frames."""
        reading = self.readings[-1]
        reading.opened = Opened(Answering(live), untimed=untimed)
        for time in times:
            image = np.zeros((*size, 3), np.uint8)
            reading.waiting.append(SourceFrame(image, reading.frames, Fraction(str(time)), "x"))
            reading.frames += 1
            reading.last_sign = self.now

    def ends(self, ending: Ending = JUST_ENDED) -> None:
        self.readings[-1].ending = ending
        self.after(0)

    def lost_after(self, *times: float) -> None:
        self.after(0)
        self.answers(*times)
        for _ in times:
            assert self.after(0) is not None
        self.ends(Ending(stopped_by="Connection reset by peer"))

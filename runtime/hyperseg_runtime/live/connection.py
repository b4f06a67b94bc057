"""One connection to a live source: opened and read in a thread of its own.

A driver or a name server may let a call wait without end, which nothing can interrupt. Therefore nobody waits for this
thread: whoever reads here polls, and abandons a connection that shows no sign of life.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np

from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import FrameTiming, Selection, SourceFrame, VideoSource

_ROOM = 2
_POLL_SECONDS = 0.1
_LONGEST_BACKLOG_SECONDS = 1.0
"""How long frames may come too fast until they are taken all the same, as from a server that sends a file."""


@dataclass(frozen=True)
class Opened:
    """A source that answers."""

    source: VideoSource
    sound: Callable[[], SoundTrack | None] = lambda: None
    """Carries the sound over, if there is any; called before the frames, or not at all."""
    untimed: bool = False
    """Whether the source's times are made up."""
    origin: Callable[[], Fraction] | None = None
    """The source time, in seconds, at which it begins, if it may be a file that is sent from its beginning to each
    connection, as it may be where a web server states no length."""


class Opener(Protocol):
    """Opens a source, with the part of it that is wanted. Raises InputError. May take long, or never return."""

    def __call__(self, selection: Selection) -> Opened: ...


@dataclass(frozen=True)
class Timing:
    """A `FrameTiming` that no longer asks the source, which another thread reads."""

    rate: Fraction
    time_base: Fraction


@dataclass(frozen=True)
class Ending:
    """How a connection ended by itself."""

    failure: str | None = None
    """The error that opening or reading raised."""
    exhausted: bool = True
    """Whether the source ended, and not the part of it that is wanted."""
    stopped_by: str | None = None
    """The error that ended it after frames had come; among `problems` too."""
    problems: tuple[str, ...] = ()


class Reading(Protocol):
    """A connection, as `LiveSource` uses it."""

    opened: Opened | None
    """None as long as the source has not answered."""
    timing: FrameTiming
    """Known once it has."""
    sound: SoundTrack | None
    frames: int
    """Frames that came."""
    dropped: int
    """Frames that were replaced by newer ones before anyone took them."""
    beginning: bytes | None
    """A digest of the first frame and its time, once it is there, of what may be a file."""
    last_sign: float
    """The clock when it began, or its source answered, or its last frame came."""

    @property
    def ending(self) -> Ending | None:
        """None as long as there may be more frames to take."""

    @property
    def blocked(self) -> bool:
        """Whether it waits for its frames to be taken."""

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""

    def take(self) -> SourceFrame | None:
        """The next frame; None if there is none now."""

    def wait(self) -> None:
        """Until there is a frame or an end, or for a short time."""

    def abandon(self) -> None:
        """Ends it from outside, without waiting: no more frames come, and the thread closes the source once it can, but
        for one whose sound is still to be written."""

    def release(self) -> None:
        """Closes a source that stayed open for its sound, unless its thread still hangs in it."""


class _Backlog:
    """Whether old frames, which piled up while FFmpeg looked into a stream, still come faster than they were taken."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first: float | None = None
        self._before: tuple[float, float] | None = None
        self.over = True

    def note(self, frame: SourceFrame) -> None:
        now, time = self._clock(), float(frame.time)
        if self._first is None or self._before is None:
            self._first, self.over = now, False
        elif not self.over:
            keeps_pace = now - self._before[0] >= (time - self._before[1]) / 2
            self.over = keeps_pace or now - self._first > _LONGEST_BACKLOG_SECONDS
        self._before = now, time


class Connection:
    """A connection with its thread. Of live sources, only the newest frame waits where `newest_only`."""

    def __init__(
        self, open_source: Opener, selection: Selection, with_sound: bool, newest_only: bool, clock: Callable[[], float]
    ) -> None:
        self._open, self._selection, self._with_sound = open_source, selection, with_sound
        self._newest_only, self._clock = newest_only, clock
        self.opened: Opened | None = None
        self.timing: FrameTiming
        self.sound: SoundTrack | None = None
        self.frames = self.dropped = 0
        self.beginning: bytes | None = None
        self.last_sign = clock()
        self.failure: BaseException | None = None
        """An error that is none of the source."""
        self._ending: Ending | None = None
        self._waiting: deque[SourceFrame] = deque()
        self._changed = threading.Condition()
        self._backlog = _Backlog(clock)
        self._abandoned = False
        self._blocked = False
        self._thread = threading.Thread(target=self._run, name="hyperseg-connection", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        opened, ending = None, Ending()
        try:
            opened = self._open(self._selection)
            sound = opened.sound() if self._with_sound and not self._abandoned else None
            with self._changed:
                self.timing = Timing(opened.source.rate, opened.source.time_base)
                self.opened, self.sound, self.last_sign = opened, sound, self._clock()
                self._changed.notify_all()
            for frame in opened.source.frames():
                if not self._put(frame):
                    return
            source = opened.source
            ending = Ending(None, source.exhausted, source.stopped_by, tuple(source.problems))
        except (HyperSegError, OSError, MemoryError, cv2.error) as error:
            ending = Ending(str(error) or type(error).__name__)
        except BaseException as error:
            self.failure = error
        finally:
            if opened is not None and not self._sound_needs_it:
                opened.source.close()
            with self._changed:
                self._ending = ending
                self._changed.notify_all()

    def _put(self, frame: SourceFrame) -> bool:
        """Waits for room, or drops the waiting frame; False once the connection is abandoned."""
        if self.frames == 0 and self.opened is not None and self.opened.origin is not None:
            self.beginning = _digest(frame, self.opened.origin())
        with self._changed:
            self.frames += 1
            self.last_sign = self._clock()
            if self._newest_only and self.opened is not None and self.opened.source.live:
                self.dropped += len(self._waiting)
                self._waiting.clear()
                if not self.opened.untimed:
                    self._backlog.note(frame)
            self._blocked = True
            while len(self._waiting) >= _ROOM and not self._abandoned:
                self._changed.wait(_POLL_SECONDS)
            self._blocked, self.last_sign = False, self._clock()
            if not self._abandoned:
                self._waiting.append(frame)
                self._changed.notify_all()
            return not self._abandoned

    @property
    def _sound_needs_it(self) -> bool:
        """Whether the source has to stay open, since packets of its sound refer to it."""
        return self.sound is not None and self.frames > 0

    @property
    def ending(self) -> Ending | None:
        with self._changed:
            return None if self._waiting else self._ending  # a frame of the backlog may be all that came

    @property
    def blocked(self) -> bool:
        return self._blocked

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def take(self) -> SourceFrame | None:
        if self.failure is not None:
            raise self.failure
        with self._changed:
            if not self._ready:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()

    def wait(self) -> None:
        with self._changed:
            if not self._ready and self._ending is None:
                self._changed.wait(_POLL_SECONDS)

    @property
    def _ready(self) -> bool:
        return bool(self._waiting) and (self._backlog.over or self._ending is not None)

    def abandon(self) -> None:
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()
        if self.opened is not None:
            self.opened.source.stop()

    def release(self) -> None:
        self._thread.join(_POLL_SECONDS)
        if self.opened is not None and self._sound_needs_it and not self.alive:
            self.opened.source.close()


def _digest(frame: SourceFrame, origin: Fraction) -> bytes:
    content = hashlib.blake2b(np.ascontiguousarray(frame.image).data, digest_size=16)
    content.update(f"{frame.size} {frame.time + origin}".encode())
    return content.digest()

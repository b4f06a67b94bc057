"""Continuous times from timestamps that jump, wrap, repeat or are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

WRAP: Final = Fraction(2**33, 90_000)
"""Seconds after which the 33-bit timestamps of MPEG streams begin again (ISO/IEC 13818-1, 2.4.3.7)."""
FORWARD_JUMP: Final = Fraction(10)
"""A longer gap, in seconds, is one of the clock in formats with discontinuities (ffmpeg's -dts_delta_threshold)."""
_INVALID_JUMP: Final = Fraction(30 * 3600)
"""A longer gap, in seconds, is a damaged timestamp in any format (ffmpeg's -dts_error_threshold)."""
_BACKWARD_JUMP: Final = Fraction(1)
_DISCONTINUOUS: Final = 0x0200  # AVFMT_TS_DISCONT
_NO_TIMESTAMPS: Final = 0x0080  # AVFMT_NOTIMESTAMPS
_RUN: Final = 16
_KEPT_PACKETS: Final = 1024


@dataclass
class Timeline:
    """Maps the times of a stream to continuous ones, which begin at `origin`.

    The times of a new segment, after a jump of the timestamps, continue where the one before it ends. Sound has the
    same jumps: its n-th segment belongs to `offsets[n]` (`sound_feed`).
    """

    origin: Fraction
    """Source time that becomes 0, in seconds."""
    step: Fraction
    """Nominal duration of a frame, in seconds."""
    discontinuous: bool
    """Whether the format has discontinuities (MPEG streams): gaps of more than 10 s are jumps too."""
    offsets: list[Fraction] = field(default_factory=lambda: [Fraction(0)])
    """What is added to source times, in seconds, for every segment so far; the first is 0."""
    _last: Fraction | None = None
    _expected: Fraction = Fraction(0)

    def place(self, source_time: Fraction | None, duration: Fraction) -> Fraction:
        """The continuous time of the next frame, in seconds; `source_time` None: right after the frame before."""
        if source_time is None:
            time = self._expected
        else:
            time = source_time - self.origin + self.offsets[-1]
            if self._last is not None and self._jumped(time, self._last):
                self.offsets.append(self.offsets[-1] + self._correction(time))
                time = source_time - self.origin + self.offsets[-1]
        self._last = time if self._last is None else max(self._last, time)
        self._expected = time + (duration or self.step)
        return time

    def _jumped(self, time: Fraction, last: Fraction) -> bool:
        if self.discontinuous:
            # Frames come in the order of presentation, so one that goes back further than rounding is after a jump.
            return time <= last - self.step * 3 / 2 or time > self._expected + FORWARD_JUMP
        return time < last - max(_BACKWARD_JUMP, 3 * self.step) or time > self._expected + _INVALID_JUMP

    def _correction(self, time: Fraction) -> Fraction:
        """A wrap is undone exactly, and so keeps gaps; after any other jump no gap is assumed."""
        for wrap in (WRAP, -WRAP):
            if self.discontinuous and abs(time + wrap - self._expected) < FORWARD_JUMP:
                return wrap
        return self._expected - time


def is_discontinuous(container: InputContainer) -> bool:
    """Whether timestamps may jump in this format."""
    return bool(int(container.format.flags) & _DISCONTINUOUS)


def without_presentation_times(container: InputContainer) -> bool:
    """Whether the format has no presentation times: AVI, elementary streams."""
    return container.format.name == "avi" or bool(int(container.format.flags) & _NO_TIMESTAMPS)


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame with its continuous time and the duration that its packet states (0: none), in seconds."""

    frame: VideoFrame
    time: Fraction
    duration: Fraction


@dataclass(frozen=True)
class NumberedFrame:
    """A frame with its number in the source."""

    timed: TimedFrame
    index: int


def spread(frames: Iterable[TimedFrame], step: Fraction) -> Iterator[TimedFrame]:
    """Gives frames that share a time, or go back a little, times of their own, evenly up to the next frame's.

    Only such frames wait for the next one; at most 16 do.
    """
    last: Fraction | None = None
    waiting: list[TimedFrame] = []

    def placed(until: Fraction) -> Iterator[TimedFrame]:
        assert last is not None
        each = (until - last) / (len(waiting) + 1)
        for number, item in enumerate(waiting, 1):
            yield TimedFrame(item.frame, last + number * each, each)
        waiting.clear()

    for item in frames:
        if last is not None and item.time <= last:
            waiting.append(item)
            if len(waiting) == _RUN:
                end = last + step
                yield from placed(end)
                last = end - step / (_RUN + 1)
            continue
        if waiting:
            yield from placed(item.time)
        last = item.time
        yield item
    if waiting and last is not None:
        yield from placed(last + step * (len(waiting) + 1))


class PacketTimes:
    """Time and duration of each frame, from the packets.

    Usually the decoder passes a packet's presentation time on. AVI and elementary streams have none, or ones that
    FFmpeg guesses and that are out of order with B-frames: there the frames, which come in order of presentation, take
    the packets' decoding times one after another.
    """

    def __init__(self, unit: Fraction, by_order: bool, step: Fraction) -> None:
        """unit: the packets' time base; by_order: see above, `without_presentation_times`; step: nominal duration."""
        self._unit, self._step, self._by_order = unit, step, by_order
        self._queue: dict[int, tuple[Fraction, Fraction]] = {}
        self._durations: dict[int, Fraction] = {}
        self._count = 0
        self._next = Fraction(0)

    def add(self, packet: Packet[VideoStream]) -> int:
        """Notes a packet before it is decoded; returns its key for `drop`."""
        duration = (packet.duration or 0) * self._unit
        self._count += 1
        if self._by_order:
            time = self._next if packet.dts is None else packet.dts * self._unit
            self._next = time + (duration or self._step)
            self._queue[self._count] = (time, duration)
        elif packet.pts is not None:
            self._durations[packet.pts] = duration
            if len(self._durations) > _KEPT_PACKETS:
                del self._durations[next(iter(self._durations))]
        return self._count

    def drop(self, key: int) -> None:
        """The packet gave no frame."""
        self._queue.pop(key, None)

    def of(self, frame: VideoFrame) -> tuple[Fraction | None, Fraction]:
        """Source time (None: unknown) and duration (0: unknown) of the next frame, in seconds."""
        if self._by_order:
            return self._queue.pop(next(iter(self._queue))) if self._queue else (None, Fraction(0))
        if frame.pts is None:
            return None, Fraction(0)
        return frame.pts * (frame.time_base or self._unit), self._durations.pop(frame.pts, Fraction(0))

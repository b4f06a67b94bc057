"""The sound packets of a source on their way to the writer: aligned with the video where timestamps jump."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Protocol

from hyperseg_runtime.video.timeline import FORWARD_JUMP, Timeline

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

    AnyPacket = Packet[Any]

RUN_UP: Final = Fraction(1)
"""Seconds before a cut from which on packets are handed over, since those after it may build on them."""
_BACKWARD_JUMP: Final = Fraction(1, 10)
_GREATEST_WAITING: Final = 4096


class SoundTaker(Protocol):
    """What takes the packets: one track of the source."""

    @property
    def streams(self) -> Sequence[AudioStream]:
        """The streams whose packets it takes."""

    def takes(self, packet: AnyPacket, origin: Fraction) -> bool:
        """Takes a packet of the track; False for any other. origin: the source time, in seconds, of the output's 0."""

    def read_until(self, end: Fraction, packets: Iterator[AnyPacket], origin: Fraction) -> None:
        """Takes from `packets` the sound up to the source time `end`, in seconds."""

    def clear(self) -> None:
        """Forgets what it has taken."""


class SoundFeed:
    """Hands packets to a taker, each with the origin of its own segment of the timeline.

    Sound jumps where the video does, so that its n-th segment has the n-th offset. That is known once the video's first
    frame after the jump is decoded, and packets wait for it.
    """

    def __init__(self, taker: SoundTaker, timeline: Timeline, start: Fraction) -> None:
        """start: of the cut, in seconds."""
        self._taker, self._timeline, self._start = taker, timeline, start
        self._waiting: deque[tuple[AnyPacket, int]] = deque()
        self._segment = 0
        self._last: Fraction | None = None
        self._index = {stream.index for stream in taker.streams}

    def give(self, packet: AnyPacket) -> bool:
        """Takes a packet of the sound; False for any other."""
        if packet.stream.index not in self._index:
            return False
        if packet.pts is not None:
            time = packet.pts * packet.time_base
            if self._last is not None and self._jumped(time, self._last):
                self._segment += 1
            self._last = time
        self._waiting.append((packet, self._segment))
        self.release()
        return True

    def _jumped(self, time: Fraction, last: Fraction) -> bool:
        return time < last - _BACKWARD_JUMP or (self._timeline.discontinuous and time > last + FORWARD_JUMP)

    def release(self, finished: bool = False) -> None:
        """Hands over what the timeline has reached; `finished`: everything, since no more video comes."""
        offsets = self._timeline.offsets
        while self._waiting:
            packet, segment = self._waiting[0]
            if segment >= len(offsets) and not finished and len(self._waiting) < _GREATEST_WAITING:
                return
            self._waiting.popleft()
            origin = self._timeline.origin + self._start - offsets[min(segment, len(offsets) - 1)]
            if packet.pts is None or packet.pts * packet.time_base >= origin - RUN_UP:
                self._taker.takes(packet, origin)

    def read_until(self, end: Fraction, packets: Iterator[AnyPacket]) -> None:
        """Reads on for the sound of the last frames. end: in seconds of the timeline."""
        self.release(finished=True)
        shift = self._timeline.origin - self._timeline.offsets[-1]
        self._taker.read_until(end + shift, packets, shift + self._start)

"""The sound of a video on its way from the reader to the writer: one track's packets, in the order of the file.

The reader demuxes sound and video in one pass, since a pipe can be read only once.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.stream import Stream

_LIMIT_BYTES: Final = 64 << 20
"""Of packets that wait for the video: five seconds of 192 kHz in 8 channels of 64 bits, half an hour of AAC."""


_INTERLEAVING: Final = Fraction(2)
"""Seconds by which the sound of a time may come after its video in a file; half a second is usual."""


@dataclass(frozen=True)
class SoundPacket:
    """A packet of the track, still compressed."""

    packet: Packet[AudioStream]
    origin: Fraction
    """The source's time, in seconds, at which the output begins: subtract it from the packet's times."""


class SoundTrack:
    """The first usable sound track of a source, and a queue of its packets.

    One thread puts them there (`takes`, `read_until`) and another one calls `take`. Neither waits: what exceeds the
    queue's limit is left out.
    """

    def __init__(self, tracks: Sequence[AudioStream], limit_bytes: int = _LIMIT_BYTES) -> None:
        """tracks: the sound tracks of an open container, in its order."""
        self.notes: list[str] = []
        """What is missing from the sound, one line each."""
        self.stream = self._first_usable(tracks)
        """None where the source has no usable track; `notes` says why if it has any."""
        self._packets: deque[SoundPacket] = deque()
        self._limit, self._waiting = limit_bytes, [0, 0]

    def _first_usable(self, tracks: Sequence[AudioStream]) -> AudioStream | None:
        reasons: list[str] = []
        for number, stream in enumerate(tracks, 1):
            reason = _fault(stream)
            if reason is None:
                if reasons:
                    self.notes.append(f"sound track {number} is used: {'; '.join(reasons)}")
                return stream
            reasons.append(f"track {number} {reason}")
        if reasons:
            self.notes.append(f"no sound: {'; '.join(reasons)}")
        return None

    @property
    def streams(self) -> list[AudioStream]:
        """Those whose packets `takes` takes: the track, or nothing."""
        return [] if self.stream is None else [self.stream]

    def takes(self, packet: Packet[Stream], origin: Fraction) -> bool:
        """Takes a packet of the track; False for any other. origin: as in `SoundPacket`."""
        if self.stream is None or packet.stream.index != self.stream.index:
            return False
        if packet.size:  # the last one of a stream is empty
            self._put(SoundPacket(cast("Packet[AudioStream]", packet), origin))
        return True

    def read_until(self, end: Fraction, packets: Iterator[Packet[Stream]], origin: Fraction) -> None:
        """Takes from `packets` the sound up to the container's time `end`, which may come after its video in the file.

        Without an error where the source ends or fails before: the video is complete.
        """
        from av.error import FFmpegError

        with contextlib.suppress(FFmpegError, IndexError):  # IndexError: PyAV's, at the end, if tracks were added
            for packet in packets:
                lag = Fraction(0) if self.takes(packet, origin) else _INTERLEAVING
                if packet.pts is not None and packet.pts * packet.time_base > end + lag:
                    return

    def _put(self, item: SoundPacket) -> None:
        put, taken = self._waiting
        if put - taken + item.packet.size > self._limit:
            line = "the sound has gaps: in the file it is too far from the video of its time"
            if line not in self.notes:
                self.notes.append(line)
            return
        self._waiting[0] = put + item.packet.size
        self._packets.append(item)

    def take(self) -> SoundPacket | None:
        """The next packet; None if none is there (yet)."""
        try:
            item = self._packets.popleft()
        except IndexError:
            return None
        self._waiting[1] += item.packet.size
        return item

    def clear(self) -> None:
        """Forgets the waiting packets, for a reader that begins again elsewhere. Only before the first `take`."""
        self._packets.clear()
        self._waiting = [0, 0]


def _fault(stream: AudioStream) -> str | None:
    """Why a track cannot be used; None if it can. PyAV has no codec context for an unknown codec."""
    context = stream.codec_context
    if context is None:
        return "has a codec that FFmpeg cannot decode"
    if context.sample_rate <= 0 or context.layout.nb_channels <= 0:
        return f"({context.name}) cannot be decoded: its header is damaged, or it has no data"
    return None

"""Decoding of one video stream, packet by packet, with a record of what was missing or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hyperseg_runtime.video.sound_feed import SoundFeed
from hyperseg_runtime.video.timeline import PacketTimes

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Decoder:
    """The frames of a stream with their source times. A damaged packet loses its own frames only."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, times: PacketTimes, sound: SoundFeed | None = None
    ) -> None:
        """sound: takes the sound's packets that are between those of the video."""
        self._times, self._sound = times, sound
        self._demuxed = container.demux(stream, *(sound.streams if sound is not None else ()))
        self.packets = 0
        """Packets read."""
        self.damaged = 0
        """Packets that could not be decoded, and frames that the decoder reported as damaged."""
        self.stopped: str | None = None
        """Why reading ended before the source's end."""

    def frames(self, skipped: int = 0) -> Iterator[tuple[VideoFrame, Fraction | None, Fraction]]:
        """(frame, source time or None, duration or 0), in order of presentation. `skipped` packets are not decoded."""
        from av.error import FFmpegError

        try:
            for packet in self._demuxed:
                if self._sound is not None and self._sound.give(packet):
                    continue
                if packet.size:
                    self.packets += 1
                    if self.packets <= skipped:
                        continue
                for frame in self._decode(packet):
                    yield (frame, *self._times.of(frame))
                if self._sound is not None:
                    self._sound.release()
        except (FFmpegError, OSError) as error:
            self.stopped = str(getattr(error, "strerror", None) or error)
        if self._sound is not None:
            self._sound.release(finished=True)

    def read_sound_until(self, end: Fraction) -> None:
        """Reads on for the sound of the last frames, which may come after them in the file. end: of the timeline."""
        if self._sound is not None:
            self._sound.read_until(end, self._demuxed)

    def _decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        from av.error import FFmpegError

        key = self._times.add(packet) if packet.size else None
        try:
            frames = packet.decode()
        except (FFmpegError, ValueError):
            self.damaged += 1
            if key is not None:
                self._times.drop(key)
            return []
        self.damaged += sum(frame.is_corrupt for frame in frames)
        return frames

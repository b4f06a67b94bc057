"""Decoding of one video stream, packet by packet, with a record of what was missing or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hyperseg_runtime.video.container import failure
from hyperseg_runtime.video.sound_feed import SoundFeed
from hyperseg_runtime.video.timeline import PacketTimes

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Decoder:
    """The frames of a stream with their source times. A damaged packet loses its own frames only."""

    def __init__(
        self, packets: Iterator[Packet[Any]], stream: VideoStream, times: PacketTimes, sound: SoundFeed | None = None
    ) -> None:
        """packets: of all streams; `ends` counts them, and ffmpeg reads them anyway.

        sound: takes the sound's packets that are between those of the video.
        """
        self._stream, self._times, self._sound = stream, times, sound
        self._demuxed = packets
        self.packets = 0
        """Packets of the video read, empty ones (repeated images) included."""
        self.decoded = 0
        """Frames, and packets that are not shown (edit lists)."""
        self.skipped = False
        """Whether decoding began later: images that follow a keyframe and are shown before it are lost then."""
        self.damaged = 0
        """Packets that could not be decoded, and frames that the decoder reported as damaged."""
        self.corrupt = 0
        """Packets that the demuxer reported as damaged."""
        self.interlaced = False
        """Whether two packets may be one frame."""
        self.ends = Fraction(0)
        """Latest end of a packet of any stream, in seconds of the source."""
        self.stopped: str | None = None
        """Why reading ended before the source's end."""
        self._flushed = False
        """Whether the decoder was told the end, and gave the frames that it held back."""

    @property
    def lost(self) -> int:
        """Packets without a frame, where each has one."""
        return 0 if self.interlaced or self.skipped else max(0, self.packets - self.decoded)

    def frames(self, skipped: int = 0) -> Iterator[tuple[VideoFrame, Fraction | None, Fraction]]:
        """(frame, source time or None, duration or 0), in order of presentation. `skipped` packets are not decoded."""
        from av.error import FFmpegError

        self.skipped = skipped > 0
        try:
            for packet in self._demuxed:
                self._note(packet)
                if self._sound is not None and self._sound.give(packet):
                    continue
                if packet.stream.index != self._stream.index:
                    continue
                if 0 < self.packets <= skipped:
                    continue
                for frame in self._decode(packet):
                    yield (frame, *self._times.of(frame))
                if self._sound is not None:
                    self._sound.release()
        except IndexError:  # PyAV's end of a file in which streams appeared that its beginning had not; all was read
            pass
        except (FFmpegError, OSError) as error:
            self.stopped = failure(error)
        if not self._flushed and self.packets:
            for frame in self._decode(self._end_of_stream()):
                yield (frame, *self._times.of(frame))
        if self._sound is not None:
            self._sound.release(finished=True)

    def _end_of_stream(self) -> Packet[Any]:
        """The empty packet with which PyAV ends a stream, and which is missing where reading fails."""
        from av.packet import Packet

        packet: Packet[Any] = Packet()
        packet.stream = self._stream
        packet.time_base = self._stream.time_base or Fraction(1)
        return packet

    def read_sound_until(self, end: Fraction) -> None:
        """Reads on for the sound of the last frames, which may come after them in the file. end: of the timeline."""
        if self._sound is not None:
            self._sound.read_until(end, self._demuxed)

    def _note(self, packet: Packet[Any]) -> None:
        self.corrupt += packet.is_corrupt and packet.stream.index == self._stream.index
        time = packet.dts if packet.pts is None else packet.pts
        if time is None:  # ffmpeg's elementary streams have packets without times; an empty one is the end of a stream
            self.packets += bool(packet.size) and packet.stream.index == self._stream.index
            return
        self.ends = max(self.ends, (time + (packet.duration or 0)) * packet.time_base)
        self.packets += packet.stream.index == self._stream.index

    def _decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        from av.error import FFmpegError

        key = self._times.add(packet) if packet.size else None
        self._flushed |= not packet.size and packet.pts is None  # an empty one with a time repeats an image
        try:
            frames = packet.decode()
        except (FFmpegError, ValueError):
            self.damaged += 1
            if key is not None:
                self._times.drop(key)
            return []
        self.decoded += len(frames) + packet.is_discard
        self.damaged += sum(frame.is_corrupt for frame in frames)
        self.interlaced |= any(frame.interlaced_frame for frame in frames)
        return frames

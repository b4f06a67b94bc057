"""The sound of the output: the packets of a `SoundTrack`, copied or encoded again, muxed along with the video.

Sound never costs the video: what cannot be written is left out, and a note says so.
"""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from hyperseg_runtime.video.formats import VideoFormat
from hyperseg_runtime.video.sound_encoder import SoundEncoder, add_encoder
from hyperseg_runtime.video.sound_feed import RUN_UP
from hyperseg_runtime.video.sound_track import SoundPacket, SoundTrack
from hyperseg_runtime.video.sources import Selection

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

_LEAD_IN: Final = Fraction(13, 100)
"""Packets that begin up to these seconds before the video are kept: an encoder's first packet has up to 1024 samples
without sound, which last 128 ms at 8 kHz. Players skip them."""
_CHANGING: Final = frozenset({"mpegts"})
"""Containers whose AAC may change its rate and layout at any packet; a copy has one header for all of it."""


class Sound:
    """Writes a track into an output whose first packet is still to come."""

    def __init__(
        self, track: SoundTrack, output: OutputContainer, file_format: VideoFormat, selection: Selection
    ) -> None:
        """selection: the cut that was made in the video."""
        self._track, self._output = track, output
        self._whole, self._lead_in = selection.whole, Fraction(0) if selection.start else _LEAD_IN
        self._length = None if selection.end is None else selection.end - selection.start
        self._ready: deque[Packet[AudioStream]] = deque()
        self._taken = self._damaged = self._written = 0
        self._next = Fraction(0)
        self._last: int | None = None
        self._encoder: SoundEncoder | None = None
        self._reason: str | None = None
        self._stream: AudioStream | None = None
        self._decoded: AudioStream | None = None
        """The stream whose packets were decoded; its decoder may hold back frames (WMA, Opus)."""
        self._rehearsal, self._rehearsed = self._prepare(file_format)

    @property
    def notes(self) -> list[str]:
        """What is missing from the sound, one line each; complete after `finish`."""
        notes = list(self._track.notes)
        if self._reason is not None:
            notes.append(f"no sound: {self._reason}")
        elif self._damaged and not self._written:
            notes.append(f"no sound: none of its {self._taken} packets can be used")
        elif self._damaged:
            notes.append(f"{self._damaged} damaged packets of the sound were left out")
        return notes

    def _prepare(self, file_format: VideoFormat) -> tuple[OutputContainer | None, AudioStream | None]:
        """Adds the stream that works in a rehearsal: an output of the same format that is discarded.

        ffmpeg decides late what it takes: some of it in the header, some of it packet by packet, and then reports it
        with a packet of the video. So every packet is written to the rehearsal first.
        """
        import av
        from av.error import FFmpegError

        source = self._track.stream
        if source is None:
            return None, None
        name = source.codec_context.codec.canonical_name
        if file_format.sound_encoder is None:
            self._reason = f"{file_format.container} files have none"
            return None, None
        if not file_format.edit_lists and name != "opus":  # whose lead-in Matroska stores apart (CodecDelay)
            self._lead_in = Fraction(0)
        ways: list[str | None] = [file_format.sound_encoder]
        if name in file_format.copied_sound and not (name == "aac" and source.container.format.name in _CHANGING):
            # A packet of PCM may last for seconds, so that a cut has to go through it.
            ways.insert(0, name if name.startswith("pcm_") and not self._whole else None)
        for encoder in ways:
            try:
                rehearsal = av.open(_Nowhere(), "w", format=file_format.container)
                rehearsed = _added(rehearsal, encoder, source)
                rehearsal.start_encoding()
            except (FFmpegError, ValueError) as error:  # ValueError: PyAV knows that the container cannot have it
                reason = getattr(error, "strerror", None) or error
                self._reason = f"{name} cannot be written to {file_format.container} ({reason})"
                continue
            self._reason = None
            self._stream = _added(self._output, encoder, source)
            if encoder is not None:
                self._encoder = SoundEncoder(self._stream, self._length)
            return rehearsal, rehearsed
        return None, None

    def advance(self, until: Fraction | None) -> None:
        """Writes the packets that are there and begin before `until` seconds; None: all that are there.

        Raises FFmpegError or OSError where the output cannot be written.
        """
        while True:
            while self._ready:
                packet = self._ready[0]
                if until is not None and (packet.pts or 0) * packet.time_base > until:
                    return
                self._write(self._ready.popleft())
            item = self._track.take()
            if item is None:
                return
            if self._stream is not None:
                self._ready.extend(self._guarded(self._processed(item)))

    def finish(self, until: Fraction | None) -> None:
        """Writes the rest, up to `until` seconds. Raises as `advance` does."""
        self.advance(until)
        if self._encoder is not None:
            self._ready.extend(self._guarded(self._encoded_rest(self._encoder)))
            self.advance(until)

    def close(self) -> None:
        """Ends the rehearsal. Never raises."""
        from av.error import FFmpegError

        if self._rehearsal is not None:
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                self._rehearsal.close()

    def _guarded(self, packets: Iterator[Packet[AudioStream]]) -> Iterator[Packet[AudioStream]]:
        from av.error import FFmpegError

        try:
            yield from packets
        except FFmpegError:
            self._damaged += 1

    def _processed(self, item: SoundPacket) -> Iterator[Packet[AudioStream]]:
        packet = item.packet
        begins = self._next if packet.pts is None else packet.pts * packet.time_base - item.origin
        self._next = begins + (packet.duration or 0) * packet.time_base
        if self._length is not None and begins >= self._length:
            return
        self._taken += 1
        if packet.is_corrupt:
            self._damaged += 1
        elif self._encoder is not None:
            if begins >= -RUN_UP:
                yield from self._encoded(packet, item.origin, self._encoder)
        elif begins >= -self._lead_in:
            yield from self._copied(packet, begins)

    def _copied(self, packet: Packet[AudioStream], begins: Fraction) -> Iterator[Packet[AudioStream]]:
        pts = round(begins / packet.time_base)
        if self._last is None or pts > self._last:  # muxers refuse a packet that goes back
            packet.pts = packet.dts = self._last = pts
            yield packet

    def _encoded(
        self, packet: Packet[AudioStream], origin: Fraction, encoder: SoundEncoder
    ) -> Iterator[Packet[AudioStream]]:
        self._decoded = packet.stream
        for frame in packet.decode():
            time = None if frame.pts is None else frame.pts * (frame.time_base or packet.time_base) - origin
            yield from encoder.encode(frame, time)

    def _encoded_rest(self, encoder: SoundEncoder) -> Iterator[Packet[AudioStream]]:
        for frame in [] if self._decoded is None else self._decoded.decode(None):
            yield from encoder.encode(frame, None)
        yield from encoder.finish()

    def _write(self, packet: Packet[AudioStream]) -> None:
        from av.error import FFmpegError

        assert self._rehearsal is not None and self._rehearsed is not None and self._stream is not None
        try:
            packet.stream = self._rehearsed
            self._rehearsal.mux(packet)
        except FFmpegError:
            self._damaged += 1
            return
        packet.stream = self._stream
        self._output.mux(packet)
        self._written += 1


def _added(output: OutputContainer, encoder: str | None, source: AudioStream) -> AudioStream:
    """Adds a stream for `encoder`, or for copies of the packets of `source`."""
    return output.add_stream_from_template(source) if encoder is None else add_encoder(output, encoder, source)


class _Nowhere(io.RawIOBase):
    """A file that discards what is written."""

    def __init__(self) -> None:
        super().__init__()
        self._place = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset if whence == io.SEEK_SET else self._place + offset
        return self._place

    def write(self, data: object) -> int:
        size = len(memoryview(data))  # type: ignore[arg-type]  # ffmpeg gives bytes
        self._place += size
        return size

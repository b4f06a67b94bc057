"""The input's sound, carried into the output beside the new pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from hyperseg_runtime.video.frames import Selection

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

_MICROSECOND = Fraction(1, 1_000_000)
_COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""Codecs that an MP4 file may hold as they are; any other is encoded anew, as AAC."""


class Sound:
    """Reads the file a second time for its sound: memory stays bounded however far apart pictures and sound lie."""

    def __init__(self, source: str, output: OutputContainer, selection: Selection) -> None:
        import av

        self._input = av.open(source, mode="r")
        self._from: AudioStream = self._input.streams.audio[0]
        self._selection = selection
        self._origin = (self._input.start_time or 0) * _MICROSECOND + selection.start
        if self._from.codec_context.codec.canonical_name in _COPIED:
            self._to = output.add_stream_from_template(self._from)
            self._packets = self._copied()
        else:
            self._to = output.add_stream("aac", rate=self._from.codec_context.sample_rate)
            self._to.layout = "mono" if self._from.codec_context.layout.nb_channels == 1 else "stereo"
            self._packets = self._encoded()
        self._output = output
        self._waiting: Packet[AudioStream] | None = None

    def advance(self, until: Fraction | None) -> None:
        """Writes the packets that begin before `until` seconds; None: all that are left."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = packet
            begins = (packet.pts or 0) * packet.time_base
            if until is not None and begins > until:
                return
            self._output.mux(packet)
            self._waiting = None

    def close(self) -> None:
        self._input.close()

    def _selected(self) -> Iterator[Packet[AudioStream]]:
        if self._selection.start:
            self._input.seek(int(self._origin / _MICROSECOND))
        for packet in self._input.demux(self._from):
            if packet.pts is None:
                continue
            begins = packet.pts * packet.time_base - self._origin
            if self._selection.end is not None and begins >= self._selection.end - self._selection.start:
                return
            if not self._selection.start or begins >= 0:
                yield packet

    def _copied(self) -> Iterator[Packet[AudioStream]]:
        for packet in self._selected():
            shift = round(self._origin / packet.time_base)
            packet.pts = (packet.pts or 0) - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = self._to
            yield packet

    def _encoded(self) -> Iterator[Packet[AudioStream]]:
        from av.audio.resampler import AudioResampler

        codec = self._to.codec_context
        resampler = AudioResampler(format=codec.format, layout=codec.layout, rate=codec.sample_rate)
        for packet in self._selected():
            for frame in packet.decode():
                if frame.pts is not None:
                    frame.pts -= round(self._origin / (frame.time_base or packet.time_base))
                for piece in resampler.resample(frame):
                    yield from self._to.encode(piece)
        for piece in resampler.resample(None):
            yield from self._to.encode(piece)
        yield from self._to.encode(None)

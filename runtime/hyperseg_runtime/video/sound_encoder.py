"""Encoding of sound: converts decoded frames of any format, rate and layout, also if these change in mid-stream."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.filter import Graph
    from av.packet import Packet

_LAYOUTS: Final = {1: "mono", 6: "5.1", 8: "7.1"}
"""By the number of channels, layouts that AAC and Opus encoders take and players know; any other becomes stereo."""
_PREFERRED_RATE: Final = 48_000
_SILENCE_LIMIT = Fraction(1)
"""Gaps up to this length, in seconds, are filled with silence; after longer ones the times begin anew."""
_TOLERANCE = Fraction(1, 50)
"""By how much, in seconds, times may differ from the count of samples: containers round them to milliseconds."""
Format = tuple[str, str, int]


def add_encoder(output: OutputContainer, encoder: str, source: AudioStream) -> AudioStream:
    """Adds a stream for `encoder` to `output`, with the rate and layout it takes that are next to those of `source`."""
    stream = cast("AudioStream", output.add_stream(encoder, rate=_rate(encoder, source.codec_context.sample_rate)))
    stream.codec_context.layout = _LAYOUTS.get(source.codec_context.layout.nb_channels, "stereo")
    return stream


def _rate(encoder: str, wanted: int) -> int:
    """The lowest rate not under `wanted` that the encoder takes, 48 kHz if all are."""
    from av.codec import Codec

    rates = Codec(encoder, "w").audio_rates
    if not rates:
        return wanted
    return min((rate for rate in rates if rate >= wanted), default=_PREFERRED_RATE)


class SoundEncoder:
    """Encodes frames at their times; the count of samples follows the times."""

    def __init__(self, stream: AudioStream, length: Fraction | None) -> None:
        """length: in seconds; sound before 0 and after it is cut off, to the sample."""
        self._stream, self._length = stream, length
        self._graph: Graph | None = None
        self._format: Format | None = None
        self._next = Fraction(0)
        """Where the frames so far end, in seconds; what comes before is cut off."""

    def encode(self, frame: AudioFrame, time: Fraction | None) -> Iterator[Packet[AudioStream]]:
        """time: at which the frame begins, in seconds; None: after the frame before. One that goes back is left out."""
        begins = self._next if time is None else time
        ends = begins + Fraction(frame.samples, frame.sample_rate)
        if ends <= 0 or (self._length is not None and begins >= self._length):
            return
        if self._graph is not None and begins < self._next - _SILENCE_LIMIT:
            return
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._graph is None or form != self._format or begins > self._next + _SILENCE_LIMIT:
            yield from self._drain()
            self._graph, self._format = self._connected(form), form
        frame.pts, frame.time_base = round(begins * frame.sample_rate), Fraction(1, frame.sample_rate)
        self._next = ends
        with contextlib.suppress(EOFError):  # atrim is at its end
            self._graph.push(frame)
        yield from self._pulled(self._graph)

    def finish(self) -> Iterator[Packet[AudioStream]]:
        """What is left in the converter and the encoder."""
        yield from self._drain()
        yield from self._stream.encode(None)

    def _drain(self) -> Iterator[Packet[AudioStream]]:
        if self._graph is not None:
            graph, self._graph = self._graph, None
            with contextlib.suppress(EOFError):
                graph.push(None)
            yield from self._pulled(graph)

    def _pulled(self, graph: Graph) -> Iterator[Packet[AudioStream]]:
        from av.audio.frame import AudioFrame
        from av.error import FFmpegError

        while True:
            try:
                piece = graph.pull()
            except EOFError:
                return
            except FFmpegError as error:
                if error.errno == errno.EAGAIN:
                    return
                raise
            assert isinstance(piece, AudioFrame)
            yield from self._stream.encode(piece)

    def _connected(self, form: Format) -> Graph:
        from av.error import FFmpegError

        try:
            return self._converter(form, None)
        except FFmpegError:  # a number of channels that has no layout
            return self._converter(form, "stereo|c0=c0|c1=c1")

    def _converter(self, form: Format, channels: str | None) -> Graph:
        from av.filter import Graph

        name, layout, rate = form
        target = self._stream.codec_context
        graph = Graph()
        chain = [
            graph.add("abuffer", sample_rate=str(rate), sample_fmt=name, channel_layout=layout, time_base=f"1/{rate}")
        ]
        if channels is not None:
            chain.append(graph.add("pan", channels))
        end = {} if self._length is None else {"end_pts": str(math.ceil(self._length * rate))}
        chain.append(graph.add("atrim", start_pts=str(round(self._next * rate)), **end))
        # async=1 fills gaps with silence and cuts overlaps off (https://ffmpeg.org/ffmpeg-filters.html#aresample).
        chain.append(graph.add("aresample", f"{target.sample_rate}:async=1:min_hard_comp={float(_TOLERANCE)}"))
        chain.append(
            graph.add(
                "aformat",
                sample_rates=str(target.sample_rate),
                sample_fmts=target.format.name,
                channel_layouts=target.layout.name,
            )
        )
        chain.append(graph.add("abuffersink"))
        graph.link_nodes(*chain).configure()
        return graph

"""H.264 video of the rendered frames, yuv420p, playable in a browser, with the input's sound."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Frame, Size
from hyperseg_runtime.video.colour import colour_tags, letterboxed, to_yuv420p
from hyperseg_runtime.video.location import ffmpeg_name
from hyperseg_runtime.video.sources import Selection

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

ENCODER: Final = "libx264"
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""From a file's suffix to ffmpeg's name of the container."""
_FINEST_TIME_BASE, _COARSEST_TIME_BASE = Fraction(1, 100_000_000), Fraction(1, 90_000)
_MICROSECOND = Fraction(1, 1_000_000)  # ffmpeg's unit for a container's start and duration
_COPIED_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""Audio codecs that an MP4 file may contain; any other is encoded again, as AAC."""


class VideoWriter:
    """Writes a draft and renames it on `close`; `abort` leaves nothing behind.

    Frames keep their times, so variable frame rates are preserved. H.264 in yuv420p has even sizes: an odd width or
    height is padded by repeating its last column or row.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        rate: Fraction,
        time_base: Fraction,
        *,
        pixel_aspect: Fraction = Fraction(1),
        sound_from: str | None = None,
        selection: Selection | None = None,
    ) -> None:
        """Raises OutputError.

        time_base: the unit of the frames' times, in seconds. pixel_aspect: width of a pixel by its height.
        sound_from: the file whose sound to carry over, cut to `selection` as the frames are.
        """
        import av
        from av.codec.codec import UnknownCodecError

        self._path, self._draft = path, Draft(path)
        self._size, self._pixel_aspect, self._time_base = size, pixel_aspect, _fine(time_base)
        self._last_pts = -1
        self._durations: dict[int, int] = {}
        self._sound: _Sound | None = None
        suffix = path.suffix.lower()
        try:
            options = {"movflags": "faststart"} if suffix != ".mkv" else {}
            self._container = av.open(str(self._draft.path), mode="w", format=FORMATS[suffix], options=options)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            self._stream = self._add_stream(rate)
            if sound_from is not None:
                self._sound = _Sound(sound_from, self._container, selection or Selection())
        except UnknownCodecError as error:
            self.abort()
            raise OutputError(
                f"this PyAV has no {ENCODER} to write H.264 with; pip install av (its wheels have)"
            ) from error
        except BaseException:
            self.abort()
            raise

    def _add_stream(self, rate: Fraction) -> VideoStream:
        height, width = self._size
        # The encoder shares the CPU with the network: ultrafast takes a third of superfast's time, and at this
        # constant rate factor no more bytes than superfast at 20.
        stream = self._container.add_stream(ENCODER, rate=rate, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._pixel_aspect
        standard, context.color_range = colour_tags(self._size)
        context.colorspace = context.color_primaries = context.color_trc = standard
        return stream

    def write(
        self, image: Frame, time: Fraction, duration: Fraction | None = None, pixel_aspect: Fraction | None = None
    ) -> None:
        """Adds an image shown from `time` seconds on, for `duration` seconds if it is the last. Raises OutputError.

        An image of another size is resized; one of another shape, `pixel_aspect` included, gets black bars.
        """
        from av.error import FFmpegError

        pts = max(round(time / self._time_base), self._last_pts + 1)
        self._last_pts = pts
        if duration is not None:
            self._durations[pts] = max(1, round(duration / self._time_base))
        frame = to_yuv420p(self._fitted(image, pixel_aspect or self._pixel_aspect), self._size)
        frame.pts, frame.time_base = pts, self._time_base
        try:
            self._mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.advance(time)
        except (FFmpegError, OSError) as error:
            raise write_error(self._path, error) from error

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        """Containers take each frame's duration from the next one's time, and the last one's from its packet."""
        for packet in packets:
            duration = self._durations.pop(packet.pts, None) if packet.pts is not None else None
            if duration is not None:
                packet.duration = duration
            self._container.mux(packet)

    def _fitted(self, image: Frame, pixel_aspect: Fraction) -> Frame:
        if image.shape[:2] != self._size or pixel_aspect != self._pixel_aspect:
            image = letterboxed(image, self._size, pixel_aspect / self._pixel_aspect)
        height, width = self._size
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return image

    def close(self, end: Fraction | None = None) -> None:
        """Completes the file and gives it its name. `end`: time at which the sound stops; None: with its own end."""
        from av.error import FFmpegError

        try:
            self._mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.advance(end)
                self._sound.close()
            self._container.close()
            self._draft.publish()
        except (FFmpegError, OSError) as error:
            self.abort()
            raise write_error(self._path, error) from error

    def abort(self) -> None:
        """Discards what was written."""
        from av.error import FFmpegError

        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(FFmpegError, OSError, ValueError):
            self._container.close()
        self._draft.discard()


def _fine(time_base: Fraction) -> Fraction:
    """A whole fraction of the source's unit, so that its times stay exact, in which cuts and gaps are exact enough."""
    if time_base < _FINEST_TIME_BASE or time_base.denominator > 1 / _FINEST_TIME_BASE:
        return Fraction(1, 1_000_000)
    return time_base / math.ceil(time_base / _COARSEST_TIME_BASE)


class _Sound:
    """The audio of a file, muxed into the output with the video.

    Reads the file a second time, so that memory stays bounded however far apart audio and video are in it.
    """

    def __init__(self, source: str, output: OutputContainer, selection: Selection) -> None:
        import av

        self._input = av.open(ffmpeg_name(source), mode="r")
        self._from: AudioStream = self._input.streams.audio[0]
        self._selection = selection
        self._origin = (self._input.start_time or 0) * _MICROSECOND + selection.start
        if self._from.codec_context.codec.canonical_name in _COPIED_AUDIO:
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
            with contextlib.suppress(OSError):  # then it is read from the beginning
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

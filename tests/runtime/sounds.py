"""Small generated clips with sound: a tone burst in silence, at a known time, in any codec, rate and layout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

BURST = Fraction(7, 10)
"""When the burst begins, in seconds; it lasts a tenth."""
RATE = Fraction(10)
_BRIGHTER = 10
_QUICK = {"libx264": {"preset": "ultrafast", "g": "5"}, "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}}
EXPERIMENTAL = {"strict": "experimental"}  # ffmpeg's own Vorbis encoder


@dataclass(frozen=True)
class Track:
    """A sound track to generate."""

    encoder: str = "aac"
    rate: int = 48_000
    layout: str = "stereo"
    start: Fraction = Fraction(0)
    """In seconds, as `end` is."""
    end: Fraction = Fraction(2)
    burst: Fraction = BURST


def samples(track: Track) -> np.ndarray:
    """float32 [channels, n]"""
    channels = av.AudioLayout(track.layout).nb_channels
    times = np.arange(int(track.start * track.rate), int(track.end * track.rate)) / track.rate
    tone = np.sin(2 * np.pi * 900 * times) * ((times >= track.burst) & (times < track.burst + 0.1))
    return np.tile(0.8 * tone, (channels, 1)).astype(np.float32)


def frames(track: Track) -> Iterator[av.AudioFrame]:
    """Interleaved 16-bit frames of 1024 samples."""
    whole = (samples(track).T * 32767).astype(np.int16)
    for begin in range(0, len(whole), 1024):
        piece = np.ascontiguousarray(whole[begin : begin + 1024].reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=track.layout)
        frame.sample_rate, frame.time_base = track.rate, Fraction(1, track.rate)
        frame.pts = int(track.start * track.rate) + begin
        yield frame


def video_frames(first: int, count: int) -> Iterator[av.VideoFrame]:
    """Grey frames whose brightness is their number, up to 23."""
    for number in range(first, first + count):
        image = np.full((64, 96, 3), min(20 + _BRIGHTER * number, 255), np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, 1 / RATE
        yield frame


def write_sound_clip(
    path: Path,
    *tracks: Track,
    first: int = 0,
    count: int = 20,
    codec: str | None = None,
    options: dict[str, str] | None = None,
    cover: bool = False,
) -> Path:
    """`count` frames from number `first` on, at 10 frames/s, with sound, interleaved by time.

    codec: of the images, else one that suits the container; options: of the container; cover: also a cover image.
    """
    codec = codec or {".webm": "libvpx-vp9", ".avi": "mpeg4", ".mpg": "mpeg2video"}.get(path.suffix, "libx264")
    with av.open(str(path), "w", options=options or {}) as container:
        if cover:
            image = container.add_stream("mjpeg", rate=1, width=32, height=32, pix_fmt="yuvj420p")
            image.disposition = av.stream.Disposition.attached_pic.value
        video = container.add_stream(codec, rate=RATE, options=_QUICK.get(codec, {}))
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        sources: list[tuple[Any, Iterator[Any]]] = [(video, video_frames(first, count))]
        for track in tracks:
            stream = container.add_stream(track.encoder, rate=track.rate, options=EXPERIMENTAL)
            stream.layout = track.layout
            if track.encoder == "wmav2":  # has no default
                stream.bit_rate = 128_000
            sources.append((stream, _converted(stream, track)))
        if cover:
            container.mux(image.encode(av.VideoFrame(32, 32, "yuvj420p")))
            container.mux(image.encode(None))
        waiting = [(stream, source, next(source, None)) for stream, source in sources]
        while any(frame is not None for _, _, frame in waiting):
            place = min(
                (number for number, item in enumerate(waiting) if item[2] is not None),
                key=lambda number: waiting[number][2].pts * waiting[number][2].time_base,
            )
            stream, source, frame = waiting[place]
            container.mux(stream.encode(frame))
            waiting[place] = (stream, source, next(source, None))
        for stream, _ in sources:
            container.mux(stream.encode(None))
    return path


def _converted(stream: Any, track: Track) -> Iterator[av.AudioFrame]:
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=track.layout, rate=track.rate)
    for frame in frames(track):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


@dataclass(frozen=True)
class Heard:
    """The sound of a file."""

    codec: str
    rate: int
    channels: int
    onset: float | None
    """When the burst begins, in seconds on the clock of the video; None without one."""
    begin: float
    end: float
    frame: float
    """The longest frame, in seconds."""


def heard(path: Path, after: Fraction = Fraction(0)) -> Heard | None:
    """Decodes the sound of a file; None without a track, or with one that is empty. after: ignore earlier bursts."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        onset, begin, end, longest = None, None, 0.0, 0.0
        form, convert = None, None
        for frame in _decoded(container, stream):
            assert frame.pts is not None
            time = float(frame.pts * frame.time_base)
            rate = frame.sample_rate
            begin = time if begin is None else begin
            end = time + frame.samples / rate
            longest = max(longest, frame.samples / rate)
            if convert is None or (frame.format.name, frame.layout.name, rate) != form:
                form = frame.format.name, frame.layout.name, rate
                convert = av.AudioResampler(format="flt")  # PyAV's arrays of more than eight planes are not safe
            for piece in convert.resample(frame):
                loud = np.flatnonzero(np.abs(piece.to_ndarray()[0, :: frame.layout.nb_channels]) > 0.1)
                if onset is None and loud.size and time + loud[0] / rate > after:
                    onset = time + float(loud[0]) / rate
        if begin is None:
            return None
        context = stream.codec_context
        return Heard(context.name, context.sample_rate, context.layout.nb_channels, onset, begin, end, longest)


def _decoded(container: Any, stream: Any) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        with contextlib.suppress(FFmpegError):  # a damaged packet
            yield from packet.decode()


def frame_numbers(path: Path) -> dict[int, float]:
    """When each frame is shown, in seconds, by its number."""
    with av.open(str(path)) as container:
        video = next(stream for stream in container.streams.video if stream.codec_context.name != "mjpeg")
        times = {}
        for number, frame in enumerate(container.decode(video)):
            shown = round((float(frame.to_ndarray(format="gray")[:64, :96].mean()) - 20) / _BRIGHTER)
            assert shown not in times
            times[shown] = float(frame.pts * frame.time_base) if frame.pts is not None else float(number / RATE)
        return times

"""Generated clips whose images carry their own numbers, in every container and codec that PyAV can write."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = Fraction(15)
SIZE = (64, 96)
BURST = Fraction(3, 2)
"""When the sound becomes loud, in seconds."""
_BITS, _COLUMNS, _ROWS = 8, 4, 2


def numbered_image(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 [h, w, 3]: the number's bits as light and dark blocks."""
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(_BITS):
        row, column = divmod(bit, _COLUMNS)
        rows = slice(row * height // _ROWS, (row + 1) * height // _ROWS)
        columns = slice(column * width // _COLUMNS, (column + 1) * width // _COLUMNS)
        image[rows, columns] = 220 if number >> bit & 1 else 30
    return image


def number_in(image: np.ndarray) -> int:
    """The number painted into an image of any size."""
    height, width = image.shape[:2]
    number = 0
    for bit in range(_BITS):
        row, column = divmod(bit, _COLUMNS)
        y, x = (2 * row + 1) * height // (2 * _ROWS), (2 * column + 1) * width // (2 * _COLUMNS)
        if image[y - 1 : y + 2, x - 1 : x + 2].mean() > 125:
            number |= 1 << bit
    return number


@dataclass(frozen=True)
class Clip:
    """A container with a codec; `precision` is that of its timestamps, in seconds."""

    suffix: str
    codec: str
    sound: str | None = None
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container: str | None = None
    precision: Fraction = Fraction(1, 90_000)
    size: tuple[int, int] = SIZE
    note: str | None = None

    def __str__(self) -> str:
        return "-".join(filter(None, [self.suffix[1:], self.codec, self.sound, self.note]))


_MS = Fraction(1, 1000)
_B = {"g": "6", "bf": "2"}
_X265 = {"preset": "ultrafast", "x265-params": "keyint=6:bframes=2:open-gop=1:pools=1:log-level=none"}
_AV1 = {"preset": "13", "crf": "20", "svtav1-params": "keyint=6:lp=1"}
_VPX = {"deadline": "realtime", "cpu-used": "8", "g": "6"}
CLIPS = (
    Clip(".mp4", "libx264", "aac", options=_B),
    Clip(".ts", "libx264", "mp2", options=_B),
    Clip(".avi", "libx264", "libmp3lame", options=_B),
    Clip(".h264", "libx264", options=_B, container="h264"),
    Clip(".mkv", "libx265", "libopus", options=_X265, precision=_MS),
    Clip(".mpg", "mpeg2video", "mp2", options=_B),
    Clip(".webm", "libvpx", "libopus", options=_VPX | {"auto-alt-ref": "1"}, precision=_MS),
    Clip(".gif", "gif", pixel_format="rgb8", precision=Fraction(1, 100)),
    Clip(".mp4", "libx265", "aac", options=_X265),
    Clip(".mp4", "mpeg4", "libmp3lame", options=_B),
    Clip(".mp4", "libsvtav1", "aac", options=_AV1),
    Clip(".mp4", "libvpx-vp9", "libopus", options=_VPX),
    Clip(".mp4", "mjpeg", "ac3", pixel_format="yuvj420p"),
    Clip(".mp4", "mpeg2video", "aac", options=_B),
    Clip(".mov", "libx264", "pcm_s16le", options=_B),
    Clip(".mov", "prores_ks", "alac", pixel_format="yuv422p10le"),
    Clip(".mov", "mpeg4", "aac", options=_B),
    Clip(".mov", "qtrle", pixel_format="rgb24"),
    Clip(".mkv", "libx264", "flac", options=_B, precision=_MS),
    Clip(".mkv", "mpeg4", "ac3", options=_B, precision=_MS),
    Clip(".mkv", "mpeg2video", "libmp3lame", options=_B, precision=_MS),
    Clip(".mkv", "libvpx", "aac", options=_VPX, precision=_MS),
    Clip(".mkv", "libsvtav1", "libopus", options=_AV1, precision=_MS),
    Clip(".mkv", "mjpeg", "pcm_s16le", pixel_format="yuvj420p", precision=_MS),
    Clip(".mkv", "ffv1", "pcm_f32le", precision=_MS),
    Clip(".mkv", "prores_ks", pixel_format="yuv422p10le", precision=_MS),
    Clip(".avi", "mpeg4", "libmp3lame", options=_B),
    Clip(".avi", "mjpeg", "pcm_s16le", pixel_format="yuvj420p"),
    Clip(".avi", "ffv1", "ac3"),
    Clip(".avi", "rawvideo", "pcm_u8"),
    Clip(".ts", "libx265", "aac", options=_X265),
    Clip(".ts", "mpeg2video", "ac3", options=_B),
    Clip(".ts", "mpeg4", "libmp3lame", options=_B),
    Clip(".mpg", "mpeg1video", "mp2", options=_B | {"strict": "-1"}),
    Clip(".vob", "mpeg2video", "ac3", options=_B, container="vob"),
    Clip(".webm", "libvpx-vp9", "libopus", options=_VPX | {"lag-in-frames": "8", "auto-alt-ref": "1"}, precision=_MS),
    Clip(".webm", "libsvtav1", "libopus", options=_AV1, precision=_MS),
    Clip(".hevc", "libx265", options=_X265, container="hevc"),
    Clip(".m4v", "mpeg4", options=_B, container="m4v"),
    Clip(".m2v", "mpeg2video", options=_B, container="mpeg2video"),
    Clip(".flv", "flv", "libmp3lame", precision=_MS),
    Clip(".flv", "libx264", "aac", options=_B, precision=_MS),
    Clip(".wmv", "wmv2", "wmav2", precision=_MS),
    Clip(".mp4", "libx264", options=_B | {"x264-params": "tff=1", "flags": "+ildct+ilme"}, note="interlaced"),
    Clip(".ts", "mpeg2video", options=_B | {"flags": "+ildct+ilme"}, note="interlaced"),
    Clip(".3gp", "h263", "aac", options={"g": "6"}, size=(144, 176)),
)


def write_numbered(
    path: Path,
    clip: Clip,
    *,
    count: int = 40,
    times: Sequence[Fraction] | None = None,
    first: Fraction = Fraction(0),
    last_duration: Fraction | None = None,
    start_number: int = 0,
) -> Path:
    """Writes images `start_number` and on, at `RATE` or at `times`, all shifted by `first` seconds."""
    unit = Fraction(1, 15) if times is None and first * 15 % 1 == 0 else Fraction(1, 1000)
    repeated = times is not None and len(set(times)) < len(times)
    with av.open(str(path), "w", format=clip.container) as container:
        options = ({"preset": "ultrafast"} if clip.codec == "libx264" else {}) | clip.options
        stream = container.add_stream(clip.codec, rate=RATE, options=options)
        stream.height, stream.width, stream.pix_fmt = *clip.size, clip.pixel_format
        stream.codec_context.time_base = unit
        if clip.codec in ("mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "flv", "wmv2", "h263"):
            stream.bit_rate = 2_000_000
        tone = container.add_stream(clip.sound, rate=48_000) if clip.sound else None
        packets = []
        for number in range(count):
            image = numbered_image(start_number + number, clip.size)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=clip.pixel_format)
            time = first + (times[number] if times else number / RATE)
            frame.pts, frame.time_base = number if repeated else round(time / unit), unit
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if times and repeated:  # encoders refuse such times
            for packet, time in zip(packets, times, strict=True):
                packet.pts = packet.dts = round((first + time) / unit)
        if last_duration is not None:
            max(packets, key=lambda packet: packet.pts).duration = round(last_duration / unit)
        if tone is not None:
            packets += _sound(tone, first, Fraction(count) / RATE)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _sound(tone: av.AudioStream, first: Fraction, seconds: Fraction) -> list[av.Packet]:
    """Silence, and a loud tone from BURST on."""
    context = tone.codec_context
    wave = np.sin(np.arange(int(48_000 * seconds)) / 6).astype(np.float32) * 0.9
    wave[: int(48_000 * BURST)] = 0
    frame = av.AudioFrame.from_ndarray(wave[np.newaxis], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, round(first * 48_000), Fraction(1, 48_000)
    tone.layout, tone.bit_rate = "mono", 96_000
    context.open()
    size = context.frame_size or 1024
    resampler = av.AudioResampler(format=context.format, layout="mono", rate=48_000, frame_size=size)
    pieces = [*resampler.resample(frame)]
    with contextlib.suppress(ValueError):
        pieces += resampler.resample(None)
    return [packet for piece in [*pieces, None] for packet in tone.encode(piece)]


def numbers_and_times(path: Path) -> list[tuple[int, Fraction]]:
    """The number in every image of a video, and when it is shown, in seconds."""
    with av.open(str(path)) as container:
        return [
            (number_in(frame.to_ndarray(format="bgr24")), frame.pts * frame.time_base)
            for frame in container.decode(video=0)
        ]


def loud_from(path: Path) -> Fraction:
    """When the sound of a video becomes loud, in seconds."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float64)
            if frame.format.name.startswith("s16"):
                samples /= 32768
            mono = (
                samples.reshape(-1, frame.layout.nb_channels).mean(axis=1) if not frame.format.is_planar else samples[0]
            )
            loud = np.flatnonzero(np.abs(mono) > 0.3)
            if loud.size:
                return frame.pts * frame.time_base + Fraction(int(loud[0]), frame.sample_rate)
    raise AssertionError(f"{path.name} is silent")

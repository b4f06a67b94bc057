"""Small generated videos of every kind, written with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np


def images(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """`count` different BGR images with soft gradients, which survive a codec."""
    height, width = (min(value, 512) for value in size)
    y, x = np.mgrid[0:height, 0:width]
    made = []
    for number in range(count):
        shift = 2 * np.pi * number / max(count, 1)
        planes = [127 + 120 * np.sin(shift + phase + 3 * x / width + 2 * y / height) for phase in (0, 2, 4)]
        small = np.stack(planes, axis=-1).astype(np.uint8)
        made.append(np.asarray(cv2.resize(small, (size[1], size[0]))))
    return made


def write_clip(
    path: Path,
    *,
    count: int = 8,
    size: tuple[int, int] = (64, 96),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction = Fraction(10),
    times: list[Fraction] | None = None,
    rotation: int | None = None,
    sound: str | None = None,
) -> Path:
    """Writes a clip. times: when each frame is shown, in seconds (default: at `rate`); sound: an audio codec."""
    time_base = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        quick = {"preset": "ultrafast"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=rate, options=quick)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = time_base
        if rotation is not None:
            stream.set_display_rotation(rotation)
        tone = container.add_stream(sound, rate=16_000) if sound else None
        for number, image in enumerate(images(count, size)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixel_format)
            time = times[number] if times else number / rate
            frame.pts, frame.time_base = round(time / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(int(16_000 * count / rate)) / 6).astype(np.float32)
            made = av.AudioFrame.from_ndarray(wave[np.newaxis], format="fltp", layout="mono")
            made.sample_rate, made.pts = 16_000, 0
            for piece in av.AudioResampler(format=tone.codec_context.format, layout="mono", rate=16_000).resample(made):
                container.mux(tone.encode(piece))
            container.mux(tone.encode(None))
    return path


def frame_times(path: Path) -> list[Fraction]:
    """When each frame of a video is shown, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]

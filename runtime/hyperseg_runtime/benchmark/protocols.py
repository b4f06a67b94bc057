"""The protocols of the benchmark: A and B time one image (batch 1), C a video through the whole pipeline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path

import numpy as np

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import VideoSink
from hyperseg_runtime.pipeline import Job, JobSummary
from hyperseg_runtime.preprocess import labels_of
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import StageSummary
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Selection
from hyperseg_runtime.video.writer import VideoWriter


class Protocol(Enum):
    """The timed part of a run. `value` is the letter on the command line."""

    UPLOAD_TO_DOWNLOAD = "A"
    DEVICE_ONLY = "B"
    VIDEO = "C"

    @property
    def title(self) -> str:
        return {
            Protocol.UPLOAD_TO_DOWNLOAD: "upload to download (SwiftNet protocol)",
            Protocol.DEVICE_ONLY: "device only",
            Protocol.VIDEO: "video end to end",
        }[self]

    @property
    def explanation(self) -> str:
        return {
            Protocol.UPLOAD_TO_DOWNLOAD: (
                "After warm-up, for each image: upload the uint8 image, network, argmax, labels as bytes back on the "
                "host, synchronise. Resizing is not included. The headline."
            ),
            Protocol.DEVICE_ONLY: "The network alone, with input and output on the device.",
            Protocol.VIDEO: (
                "hyperseg-run's whole pipeline: decode, resize, network, overlay, H.264 encode, overlapped; "
                "wall time over frames."
            ),
        }[self]


@dataclass(frozen=True)
class Entry:
    """A model under measurement, with the images that it runs on in turn."""

    name: str
    segmenter: Segmenter
    images: Sequence[Images]

    def seconds(self, protocol: Protocol, repetition: int) -> float:
        """One timed repetition of protocol A or B."""
        images = self.images[repetition % len(self.images)]
        if protocol is Protocol.DEVICE_ONLY:
            return self.segmenter.session.run_timed(images).device_seconds
        start = time.perf_counter()
        labels_of(self.segmenter.session.run(images))  # `run` returns when the results are on the host
        return time.perf_counter() - start


def natural_images(segmenter: Segmenter, count: int = 8, seed: int = 0) -> list[Images]:
    """Random images of large shapes and some noise, so that the data is not constant."""
    rng = np.random.default_rng(seed)
    height, width = segmenter.size
    made = []
    for _ in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        for _ in range(24):
            top, left = int(rng.integers(height)), int(rng.integers(width))
            down, right = top + int(rng.integers(1, height)), left + int(rng.integers(1, width))
            frame[top:down, left:right] = rng.integers(0, 256, 3)
        noise = rng.integers(0, 16, frame.shape, dtype=np.uint8)
        made.append(segmenter.prepare(np.where(frame > 239, frame, frame + noise).astype(np.uint8)))
    return made


@dataclass(frozen=True)
class VideoResult:
    """One model's run over a video (protocol C)."""

    name: str
    frames: int
    seconds: float
    stages: dict[str, StageSummary]

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds

    @property
    def overhead(self) -> float:
        """Wall time over (frames x median inference time in this run): 1 means that all else overlaps with it."""
        return self.seconds * 1e3 / (self.frames * self.stages["inference"].median_ms)

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.name,
            "protocol": "C",
            "frames": self.frames,
            "seconds": self.seconds,
            "frames_per_second": self.frames_per_second,
            "wall_time_over_inference": self.overhead,
            "stages": {name: one.to_dict() for name, one in self.stages.items()},
        }


def run_video(name: str, segmenter: Segmenter, clip: Path, max_frames: int | None = None) -> VideoResult:
    """Runs the clip once, through hyperseg-run's pipeline into a temporary file. Raises InputError."""
    selection = Selection(max_frames=max_frames)
    with tempfile.TemporaryDirectory(prefix="hyperseg-") as folder:
        reader = VideoReader(str(clip), selection)
        try:
            sink = VideoSink(Path(folder) / "benchmark.mp4", reader, reader.sound(), selection)
            renderer = Renderer(segmenter.metadata, Style.OVERLAY)
            summary: JobSummary = Job(reader, segmenter, renderer, [sink]).run()
        finally:
            reader.close()
    stages = {stage.value: times for stage, times in summary.stages.items()}
    return VideoResult(name, summary.frames, summary.seconds, stages)


def make_clip(path: Path, frames: int = 60, size: tuple[int, int] = (360, 640)) -> None:
    """Writes a synthetic moving clip, the default for protocol C."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    writer = VideoWriter(path, size, Fraction(30), Fraction(1, 30_000))
    for number in range(frames):
        planes = [127 + 120 * np.sin(number / 9 + phase + x / 60 + y / 40) for phase in (0, 2, 4)]
        writer.write(np.stack(planes, axis=-1).astype(np.uint8), Fraction(number, 30))
    writer.close()

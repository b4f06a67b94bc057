"""Protocol C: a video through hyperseg-run's pipeline, into a file that is thrown away."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from hyperseg_runtime.job import Job, JobSummary
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import VideoSink
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import StageSummary
from hyperseg_runtime.video.frames import Selection
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.writer import VideoWriter


@dataclass(frozen=True)
class VideoResult:
    """One model's run over the clip."""

    name: str
    frames: int
    seconds: float
    stages: dict[str, StageSummary]

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds

    @property
    def overhead(self) -> float:
        """Wall time over (frames x median inference time in this run): 1 means that all else is hidden behind it."""
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
    """Runs the clip once. Raises InputError where it cannot be read."""
    selection = Selection(max_frames=max_frames)
    with tempfile.TemporaryDirectory(prefix="hyperseg-") as folder:
        reader = VideoReader(str(clip), selection)
        try:
            sound = str(clip) if reader.has_sound else None
            sink = VideoSink(Path(folder) / "benchmark.mp4", reader, sound, selection)
            renderer = Renderer(segmenter.metadata, Style.OVERLAY)
            summary: JobSummary = Job(reader, segmenter, renderer, [sink]).run()
        finally:
            reader.close()
    stages = {stage.value: times for stage, times in summary.stages.items()}
    return VideoResult(name, summary.frames, summary.seconds, stages)


def make_clip(path: Path, frames: int = 60, size: tuple[int, int] = (360, 640)) -> None:
    """Writes a moving test picture, where the user names no clip."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    writer = VideoWriter(path, size, Fraction(30), Fraction(1, 30_000))
    for number in range(frames):
        planes = [127 + 120 * np.sin(number / 9 + phase + x / 60 + y / 40) for phase in (0, 2, 4)]
        writer.write(np.stack(planes, axis=-1).astype(np.uint8), Fraction(number, 30))
    writer.close()

"""Protocol C: a video through hyperseg-run's whole pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.interrupt import GracefulInterrupt
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import VideoSink
from hyperseg_runtime.pipeline import Job
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import Stage, StageSummary
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Selection
from hyperseg_runtime.video.writer import VideoWriter


@dataclass(frozen=True)
class VideoResult:
    """One model's run over a video; at least one frame."""

    name: str
    frames: int
    seconds: float
    stages: dict[str, StageSummary]
    problems: tuple[str, ...] = ()
    interrupted: bool = False
    """The clip was not run to its end."""

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds

    @property
    def overhead(self) -> float:
        """Wall time over (frames x median inference time in this run): 1 means that all else overlaps with it."""
        return self.seconds * 1e3 / (self.frames * self.stages[Stage.INFERENCE.value].median_ms)

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.name,
            "protocol": "C",
            "frames": self.frames,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "frames_per_second": self.frames_per_second,
            "wall_time_over_inference": self.overhead,
            "stages": {name: one.to_dict() for name, one in self.stages.items()},
        }


def check_clip(clip: Path) -> None:
    """Raises InputError unless the clip has a frame that can be decoded."""
    with closing(VideoReader(str(clip), Selection(max_frames=1))) as reader:
        if next(iter(reader.frames()), None) is None:
            raise InputError(_no_frames(clip))


def _no_frames(clip: Path) -> str:
    return f"{clip} has no frame that can be decoded; give another clip (--video), or none for a synthetic one"


def run_video(
    name: str,
    segmenter: Segmenter,
    clip: Path,
    max_frames: int | None = None,
    on_frame: Callable[[int], None] = lambda _: None,
) -> VideoResult:
    """Runs the clip once, through hyperseg-run's pipeline into a temporary file. Raises HyperSegError.

    The first SIGINT, SIGTERM or SIGHUP ends it after the frame, and the result has the frames until then.
    """
    selection = Selection(max_frames=max_frames)
    with (
        tempfile.TemporaryDirectory(prefix="hyperseg-") as folder,
        closing(VideoReader(str(clip), selection)) as reader,
    ):
        sink = VideoSink(Path(folder) / "benchmark.mp4", reader, reader.sound(), selection)
        renderer = Renderer(segmenter.metadata, Style.OVERLAY)
        # An exception in the middle of the pipeline would end threads that are in native code.
        with GracefulInterrupt() as interrupt:
            job = Job(reader, segmenter, renderer, [sink], on_frame=on_frame, stop_asked=lambda: interrupt.requested)
            summary = job.run()
    if summary.frames == 0:
        raise InputError(_no_frames(clip))
    stages = {stage.value: times for stage, times in summary.stages.items()}
    return VideoResult(name, summary.frames, summary.seconds, stages, summary.problems, summary.interrupted)


CLIP_FRAMES = 60


def make_clip(path: Path, frames: int = CLIP_FRAMES, size: tuple[int, int] = (360, 640)) -> None:
    """Writes a synthetic moving clip, the default for protocol C."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    writer = VideoWriter(path, size, Fraction(30), Fraction(1, 30_000))
    for number in range(frames):
        planes = [127 + 120 * np.sin(number / 9 + phase + x / 60 + y / 40) for phase in (0, 2, 4)]
        writer.write(np.stack(planes, axis=-1).astype(np.uint8), Fraction(number, 30))
    writer.close()

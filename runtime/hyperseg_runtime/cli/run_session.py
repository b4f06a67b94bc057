"""hyperseg-run's work once its options are known: open the model, run every input, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.progress import RunProgress
from hyperseg_runtime.cli.signals import Stopping
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.inputs import Kind, Task, plan
from hyperseg_runtime.job import Job, JobSummary
from hyperseg_runtime.output import stats as statistics
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import LabelSink, PictureSink, Sink, StatsSink, VideoSink, WindowSink
from hyperseg_runtime.output.stats import StatsFile
from hyperseg_runtime.output_files import check_target, make_folder
from hyperseg_runtime.pipeline import LivePolicy
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import StageClock
from hyperseg_runtime.video.camera import Camera
from hyperseg_runtime.video.frames import FrameSource, Selection
from hyperseg_runtime.video.pictures import PictureReader
from hyperseg_runtime.video.reader import VideoReader

NAME = "hyperseg-run"


@dataclass(frozen=True)
class RunSession:
    """The options of hyperseg-run, decoded."""

    model: Path | None
    backend: str
    threads: int | None
    resolution: Size | None
    selection: Selection
    style: Style
    alpha: float
    legend: bool
    labels: Path | None
    stats: Path | None
    show: bool
    policy: LivePolicy
    force: bool
    as_json: bool

    def run(self, inputs: Sequence[str], output: Path | None) -> int:
        """Runs every input, even after one that failed; returns the exit code."""
        tasks = plan(inputs, output, self.force)
        self._check_side_outputs(tasks)
        window: list[Sink] = [WindowSink()] if self.show else []
        failed = False
        records: list[dict[str, object]] = []
        with ExitStack() as stack:
            segmenter = stack.enter_context(self._open_model())
            stopping = stack.enter_context(Stopping())
            stats = None
            if self.stats is not None:
                stats = StatsFile(self.stats, segmenter.metadata.class_names)
                stack.callback(stats.close)
            for task in tasks:
                try:
                    summary = self._run_task(task, segmenter, stats, window, stopping)
                except HyperSegError as error:
                    common.report(NAME, error)
                    records.append({"input": task.source, "error": str(error)})
                    failed = True
                    continue
                for problem in summary.problems:
                    common.complain(NAME, problem)
                failed = failed or bool(summary.problems)
                records.append(_record(task, summary))
                if not self.as_json:
                    _report(task, summary)
                if summary.interrupted:
                    break
            if self.as_json:
                about = {"model": str(segmenter.path), "backend": segmenter.description, "runs": records}
                common.say(json.dumps(about, indent=2))
        if stopping.asked:
            return common.INTERRUPTED
        return common.FAILURE if failed else 0

    def _check_side_outputs(self, tasks: Sequence[Task]) -> None:
        if self.labels is not None:
            names = [name for task in tasks for name in task.names]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise OutputError(
                    f"two inputs are named {twice}, their labels would replace each other; run them apart"
                )
            make_folder(self.labels)
            if not self.force and any(self.labels.glob("*.png")):
                raise OutputError(
                    f"{self.labels} has PNG files in it; --force may replace them, or choose another folder"
                )
        if self.stats is not None:
            if self.stats.suffix not in statistics.SUFFIXES:
                raise OutputError(f"{self.stats}: statistics are written as {', '.join(statistics.SUFFIXES)}")
            check_target(self.stats, self.force)

    def _open_model(self) -> Segmenter:
        path, reason = self.model, "--model"
        if path is None:
            found = find_model()
            path, reason = found.path, found.reason
        segmenter = Segmenter(path, backend=self.backend, threads=self.threads, resolution=self.resolution)
        if not self.as_json:
            common.say(f"model    {path} ({reason})\nbackend  {segmenter.description}")
        return segmenter

    def _run_task(
        self, task: Task, segmenter: Segmenter, stats: StatsFile | None, window: list[Sink], stopping: Stopping
    ) -> JobSummary:
        source = self._source(task)
        with ExitStack() as stack:
            stack.callback(source.close)
            sinks: list[Sink] = [self._main_sink(task, source)]
            if self.labels is not None:
                sinks.append(LabelSink(self.labels))
            if stats is not None:
                sinks.append(StatsSink(stats, task.source))
            clock = StageClock()
            progress = stack.enter_context(RunProgress(source, clock, visible=not self.as_json))
            renderer = Renderer(segmenter.metadata, self.style, self.alpha, self.legend)
            job = Job(source, segmenter, renderer, [*sinks, *window], self.policy, clock)
            return replace(job, on_frame=progress.frame_done, stop_asked=lambda: stopping.asked).run()

    def _source(self, task: Task) -> FrameSource:
        if task.kind is Kind.PICTURES:
            return PictureReader(task.pictures, self.selection)
        if task.kind is Kind.CAMERA:
            return Camera(int(task.source), self.selection)
        return VideoReader(task.source, self.selection)

    def _main_sink(self, task: Task, source: FrameSource) -> Sink:
        if isinstance(source, PictureReader):
            return PictureSink({path: task.targets[path] for path in task.pictures})
        assert isinstance(source, (VideoReader, Camera))
        file_with_sound = task.kind is Kind.VIDEO and isinstance(source, VideoReader) and source.has_sound
        return VideoSink(task.video_target, source, task.source if file_with_sound else None, self.selection)


def _outputs(task: Task) -> list[str]:
    return [str(target) for target in task.targets.values() if target.exists()]


def _record(task: Task, summary: JobSummary) -> dict[str, object]:
    return {
        "input": task.source,
        "outputs": _outputs(task),
        "frames": summary.frames,
        "seconds": round(summary.seconds, 4),
        "frames_per_second": round(summary.frames_per_second, 3),
        "interrupted": summary.interrupted,
        "problems": list(summary.problems),
        "stages": {stage.value: times.to_dict() for stage, times in summary.stages.items()},
    }


def _report(task: Task, summary: JobSummary) -> None:
    common.say(f"{'stage':<13}{'median ms':>10}{'95 % ms':>10}")
    for stage, times in summary.stages.items():
        common.say(f"{stage.value:<13}{times.median_ms:>10.2f}{times.p95_ms:>10.2f}")
    outputs = _outputs(task)
    where = (
        outputs[0] if len(outputs) == 1 else f"{len(outputs)} pictures in {Path(outputs[0]).parent}" if outputs else "-"
    )
    stopped = ", interrupted" if summary.interrupted else ""
    rate = f"{summary.frames_per_second:.2f} frames/s{stopped}"
    common.say(f"{summary.frames} frames in {summary.seconds:.2f} s, {rate}\n-> {where}")

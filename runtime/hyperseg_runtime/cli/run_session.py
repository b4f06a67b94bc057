"""Execution of hyperseg-run: opens the model, runs every input with a progress bar, reports the results."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hyperseg_runtime.cli import common
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.inputs import ImageTask, Kind, Task, plan
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import (
    STATS_SUFFIXES,
    ImageSink,
    LabelSink,
    Sink,
    StatsFile,
    StatsSink,
    VideoSink,
    WindowSink,
)
from hyperseg_runtime.output_files import check_target, make_folder
from hyperseg_runtime.pipeline import Job, JobSummary, LivePolicy
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import Stage, StageClock
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Camera, FrameSource, ImageReader, Selection

NAME = "hyperseg-run"
_SHOWN_STAGES = {Stage.DECODE: "dec", Stage.INFERENCE: "net", Stage.ENCODE: "enc"}


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
            interrupt = stack.enter_context(_GracefulInterrupt())
            stats = None
            if self.stats is not None:
                stats = StatsFile(self.stats, segmenter.metadata.class_names)
                stack.callback(stats.close)
            for task in tasks:
                try:
                    summary = self._run_task(task, segmenter, stats, window, interrupt)
                except HyperSegError as error:
                    common.report(NAME, error)
                    records.append({"input": task.source, "error": str(error)})
                    failed = True
                    continue
                for problem in summary.problems:
                    common.complain(NAME, problem)
                for note in summary.notes:
                    common.note(NAME, note)
                failed = failed or bool(summary.problems)
                records.append(_record(task, summary))
                if not self.as_json:
                    _report(task, summary)
                if summary.interrupted:
                    break
            if self.as_json:
                about = {"model": str(segmenter.path), "backend": segmenter.description, "runs": records}
                common.say(json.dumps(about, indent=2))
        if interrupt.requested:
            return common.INTERRUPTED
        return common.FAILURE if failed else 0

    def _check_side_outputs(self, tasks: Sequence[Task]) -> None:
        if self.labels is not None:
            names = [name for task in tasks for name in task.names]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise OutputError(
                    f"two inputs are named {twice}, their labels would replace each other; run them separately"
                )
            make_folder(self.labels)
            if not self.force and any(self.labels.glob("*.png")):
                raise OutputError(
                    f"{self.labels} has PNG files in it; --force may replace them, or choose another folder"
                )
        if self.stats is not None:
            if self.stats.suffix not in STATS_SUFFIXES:
                raise OutputError(f"{self.stats}: statistics are written as {', '.join(STATS_SUFFIXES)}")
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
        self,
        task: Task,
        segmenter: Segmenter,
        stats: StatsFile | None,
        window: list[Sink],
        interrupt: _GracefulInterrupt,
    ) -> JobSummary:
        source, main_sink = self._open(task, interrupt)
        with ExitStack() as stack:
            stack.callback(source.close)
            sinks = [main_sink]
            if self.labels is not None:
                sinks.append(LabelSink(self.labels))
            if stats is not None:
                sinks.append(StatsSink(stats, task.source))
            clock = StageClock()
            progress = stack.enter_context(_RunProgress(source, clock, visible=not self.as_json))
            return Job(
                source,
                segmenter,
                Renderer(segmenter.metadata, self.style, self.alpha, self.legend),
                [*sinks, *window],
                self.policy,
                clock,
                on_frame=progress.frame_done,
                stop_asked=lambda: interrupt.requested,
            ).run()

    def _open(self, task: Task, interrupt: _GracefulInterrupt) -> tuple[FrameSource, Sink]:
        """The source of a task and the sink of its main output."""
        if isinstance(task, ImageTask):
            return ImageReader(tuple(task.target_of), self.selection), ImageSink(task.target_of)
        if task.kind is Kind.CAMERA:
            camera = Camera(int(task.source), self.selection)
            return camera, VideoSink(task.target, camera, None, self.selection)
        reader = VideoReader(task.source, self.selection, stop_asked=lambda: interrupt.requested)
        return reader, VideoSink(task.target, reader, reader.sound(), self.selection)


def _outputs(task: Task) -> list[str]:
    return [str(target) for target in task.targets if target.exists()]


def _record(task: Task, summary: JobSummary) -> dict[str, object]:
    return {
        "input": task.source,
        "outputs": _outputs(task),
        "frames": summary.frames,
        "seconds": round(summary.seconds, 4),
        "frames_per_second": round(summary.frames_per_second, 3),
        "interrupted": summary.interrupted,
        "problems": list(summary.problems),
        "notes": list(summary.notes),
        "stages": {stage.value: times.to_dict() for stage, times in summary.stages.items()},
    }


def _report(task: Task, summary: JobSummary) -> None:
    common.say(f"{'stage':<13}{'median ms':>10}{'95 % ms':>10}")
    for stage, times in summary.stages.items():
        common.say(f"{stage.value:<13}{times.median_ms:>10.2f}{times.p95_ms:>10.2f}")
    outputs = _outputs(task)
    where = (
        outputs[0] if len(outputs) == 1 else f"{len(outputs)} images in {Path(outputs[0]).parent}" if outputs else "-"
    )
    stopped = ", interrupted" if summary.interrupted else ""
    rate = f"{summary.frames_per_second:.2f} frames/s{stopped}"
    common.say(f"{summary.frames} frames in {summary.seconds:.2f} s, {rate}\n-> {where}")


class _GracefulInterrupt:
    """Within it, the first SIGINT or SIGTERM sets `requested`, so that the run can finish its frame and close its
    files; a second one interrupts as usual."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False
        self._before: list[object] = []

    def __enter__(self) -> _GracefulInterrupt:
        self._before = [signal.signal(number, self._handle) for number in self._SIGNALS]
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(self._SIGNALS, self._before, strict=True):
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave is what it takes


class _RunProgress:
    """A progress bar for one source: frame rate, stage times, time left. Silent where stdout is not a terminal."""

    def __init__(self, source: FrameSource, clock: StageClock, visible: bool) -> None:
        self._clock = clock
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[stages]}"),
            console=Console(),
            disable=not (visible and sys.stdout.isatty()),
            transient=True,
        )
        self._task = self._progress.add_task(
            Path(source.name).name[-24:], total=source.expected_frames, rate="", stages=""
        )
        self._start: float | None = None

    def __enter__(self) -> _RunProgress:
        self._progress.start()
        return self

    def frame_done(self, done: int) -> None:
        now = time.perf_counter()
        if self._start is None:
            self._start = now
            return
        if self._progress.disable:
            return
        rate = (done - 1) / max(now - self._start, 1e-9)
        times = ((name, self._clock.latest_ms(stage)) for stage, name in _SHOWN_STAGES.items())
        stages = " ".join(f"{name} {ms:.0f}" for name, ms in times if ms is not None)
        self._progress.update(self._task, completed=done, rate=f"{rate:.1f}/s", stages=f"{stages} ms")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

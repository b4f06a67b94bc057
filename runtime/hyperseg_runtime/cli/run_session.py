"""Execution of hyperseg-run: opens the model, runs every input with a progress bar, reports the results."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hyperseg_runtime import sidecar
from hyperseg_runtime.backends.protocol import Note
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.live_session import LiveSession
from hyperseg_runtime.cli.run_results import RunResults
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.interrupt import GracefulInterrupt
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.names import as_unicode, shown
from hyperseg_runtime.output.class_selection import select_classes
from hyperseg_runtime.output.coco import COCO_SUFFIX, CocoFile
from hyperseg_runtime.output.frame_folder import FrameFolderSink, RecordSink
from hyperseg_runtime.output.render import Appearance, Renderer
from hyperseg_runtime.output.sinks import ImageSink, LabelSink, PolygonSink, Sink, StatsSink, VideoSink, WindowSink
from hyperseg_runtime.output.stats import STATS_SUFFIXES, StatsFile
from hyperseg_runtime.pipeline import Job, JobSummary, LivePolicy
from hyperseg_runtime.planning import ImageTask, Outputs, Plan, Task, VideoTask, plan
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.run_record import maker
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.stabiliser import Stabiliser, check_can_stabilise
from hyperseg_runtime.timing import Stage, StageClock
from hyperseg_runtime.video.location import displayed
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import FrameSource, ImageReader, Selection

NAME = "hyperseg-run"
_NOT_RECORDED = frozenset(
    {
        "model",
        "threads",
        "allow_host_code",
        "show",
        "policy",
        "reconnection",
        "force",
        "resume",
        "as_json",
        "stats",
        "polygons",
    }
)
"""Options that results do not depend on."""
_SHOWN_STAGES = {Stage.DECODE: "dec", Stage.INFERENCE: "net", Stage.ENCODE: "enc"}


@dataclass(frozen=True)
class RunSession:
    """The options of hyperseg-run, decoded."""

    model: Path | None
    backend: str
    threads: int | None
    allow_host_code: bool
    resolution: Size | None
    fit: Fit
    stabilise: float | None
    """Time constant in seconds, if given."""
    selection: Selection
    look: Appearance
    classes: str | None
    """Names and numbers of the classes to draw, as on the command line."""
    labels: Path | None
    stats: Path | None
    polygons: Path | None
    show: bool
    policy: LivePolicy
    reconnection: Reconnection
    form: str | None
    """Suffix of videos' results, if given."""
    force: bool
    resume: bool
    as_json: bool

    def run(self, inputs: Sequence[str], output: str | None) -> int:
        """Runs every input, even after one that failed; returns the exit code."""
        planned = plan(inputs, self._outputs(output))
        notes = [*planned.notes, *self._notes(planned)]
        live = [task for task in planned.tasks if isinstance(task, VideoTask) and task.live]
        others = [task for task in planned.tasks if task not in live]
        window: list[Sink] = [WindowSink()] if self.show else []
        results = RunResults(NAME, self.as_json)
        with ExitStack() as stack:
            segmenter = stack.enter_context(self._open_model(lambda text: common.note(NAME, text)))
            if self.stabilise is not None:
                check_can_stabilise(segmenter)
            for file in (segmenter.path, sidecar.path_of(segmenter.path)):
                planned.targets.keep(file, f"the model {segmenter.path.name} or its description")
            interrupt = stack.enter_context(GracefulInterrupt())
            stack.enter_context(planned.folders(lambda: maker(segmenter.path, self._made_with(segmenter))))
            metadata, look, stats, polygons = segmenter.metadata, self.look, None, None
            if self.classes is not None:
                look = replace(look, classes=select_classes(self.classes, metadata.class_names))
            if self.stats is not None:
                stats = StatsFile(self.stats, metadata.class_names, self.force)
                stack.callback(stats.close)
            if self.polygons is not None:
                polygons = CocoFile(self.polygons, metadata, look.classes, planned.root, self.force)
                stack.callback(polygons.close)
            for note in notes:
                common.note(NAME, note)
            interrupted = False
            for task in others:
                if interrupt.requested or interrupted:
                    break
                name = displayed(task.source)
                shared: list[Sink] = [] if stats is None else [StatsSink(stats, name)]
                shared += [] if polygons is None else [PolygonSink(polygons, name)]
                try:
                    summary, outputs = self._run_task(task, segmenter, look, [*shared, *window], interrupt)
                except HyperSegError as error:
                    results.add_error(task, error)
                    continue
                results.add(task, summary, outputs)
                interrupted = summary.interrupted
            if live and not (interrupt.requested or interrupted):
                self._live(look, stats, polygons).run(
                    live, segmenter, results, lambda: interrupt.requested, lambda text: common.note(NAME, text)
                )
            if self.as_json:
                about = {"model": as_unicode(segmenter.path), "backend": segmenter.description}
                common.say(json.dumps({**about, "notes": [*map(as_unicode, notes)], "runs": results.records}, indent=2))
        self._name_outputs()
        if interrupt.requested:
            return common.INTERRUPTED
        return common.FAILURE if results.failed else 0

    @property
    def _replace(self) -> bool:
        """Whether files that another program creates meanwhile may be replaced. The plan has checked the others."""
        return self.force or self.resume

    def _outputs(self, output: str | None) -> Outputs:
        """What the plan has to know. Raises OutputError."""
        files = {"the statistics": self.stats, "the polygons": self.polygons}
        named = {role: path for role, path in files.items() if path is not None}
        if self.stats is not None and self.stats.suffix.lower() not in STATS_SUFFIXES:
            raise OutputError(f"{self.stats}: statistics are written as {', '.join(STATS_SUFFIXES)}")
        if self.polygons is not None and self.polygons.suffix.lower() != COCO_SUFFIX:
            raise OutputError(f"{self.polygons}: polygons are written as {COCO_SUFFIX}")
        if self.resume and named:
            raise OutputError(
                f"--resume cannot continue {' and '.join(map(str, named.values()))}; "
                "finish the results first, then write this file in a run of its own"
            )
        return Outputs(output, self.form, self.labels, named, self.force, self.resume)

    def _notes(self, planned: Plan) -> list[str]:
        """What does not apply to some of the inputs. Raises click.UsageError where it applies to none."""
        given = {
            "--start": bool(self.selection.start),
            "--end": self.selection.end is not None,
            "--format": self.form is not None,
            "--stabilise": self.stabilise is not None,
        }
        names = [name for name, is_given in given.items() if is_given]
        if not names or not any(isinstance(task, ImageTask) for task in planned.tasks):
            return []
        if all(isinstance(task, ImageTask) for task in planned.tasks):
            raise click.UsageError(f"{names[0]} is for videos, and there are only images; omit it")
        return [f"{', '.join(names)}: for the videos only, not for the images"]

    def _made_with(self, segmenter: Segmenter) -> dict[str, object]:
        """The options that results depend on, for the record of a run."""
        options: dict[str, object] = {}
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in _NOT_RECORDED:
                continue
            if is_dataclass(value):  # its options by their own names
                options.update({part.name: getattr(value, part.name) for part in fields(value)})
            else:
                options["format" if option.name == "form" else option.name] = value
        if is_engine(segmenter.path):  # whose classes and palette are in its description, not in the file
            options["classes of the model"] = segmenter.metadata.class_names
            options["palette of the model"] = segmenter.metadata.palette
        return {**options, "backend": segmenter.backend.value, "resolution": segmenter.size}

    def _live(self, look: Appearance, stats: StatsFile | None, polygons: CocoFile | None) -> LiveSession:
        return LiveSession(
            self.selection,
            self.policy,
            self.stabilise,
            self.reconnection,
            look,
            self.labels,
            stats,
            polygons,
            self.show,
            self._replace,
            visible=not self.as_json,
        )

    def _name_outputs(self) -> None:
        """Names what was written besides the rendered images."""
        for what, path in {"labels": self.labels, "statistics": self.stats, "polygons": self.polygons}.items():
            if path is not None and path.exists():
                self._say(f"-> {shown(path)} ({what})")

    def _say(self, text: str) -> None:
        if not self.as_json:
            common.say(text)

    def _open_model(self, note: Note) -> Segmenter:
        found = locate(self.model, backend=self.backend)
        segmenter = Segmenter(
            found.path,
            backend=self.backend,
            threads=self.threads,
            resolution=self.resolution,
            fit=self.fit,
            allow_host_code=self.allow_host_code,
            note=note,
        )
        common.announce(NAME, found, quiet=self.as_json)
        if not self.as_json:
            common.say(f"backend  {segmenter.description}")
        return segmenter

    def _run_task(
        self,
        task: Task,
        segmenter: Segmenter,
        look: Appearance,
        shared: list[Sink],
        interrupt: GracefulInterrupt,
    ) -> tuple[JobSummary, list[Path]]:
        """The summary of a task and the files that it wrote."""
        source, main_sink = self._open(task, interrupt)
        with ExitStack() as stack:
            stack.callback(source.close)
            sinks = [main_sink]
            if self.labels is not None:
                sinks.append(LabelSink(self.labels, segmenter.metadata.palette, self._replace))
            if isinstance(task, ImageTask):
                shared = [*shared, RecordSink(task)]
            clock = StageClock()
            progress = stack.enter_context(_RunProgress(source, clock, visible=not self.as_json))
            summary = Job(
                source,
                segmenter,
                Renderer(segmenter.metadata, replace(look, moving=not isinstance(task, ImageTask))),
                [*sinks, *shared],
                self.policy,
                clock,
                on_frame=progress.frame_done,
                stop_asked=lambda: interrupt.requested,
                logit_filter=None
                if self.stabilise is None or isinstance(task, ImageTask)
                else Stabiliser(self.stabilise),
            ).run()
        if isinstance(task, VideoTask):
            if task.record is not None and not summary.interrupted and not summary.problems:
                task.record.add(task.target, Path(task.source), summary.frames)
            return summary, [task.target] if task.target.exists() else []
        return summary, main_sink.written if isinstance(main_sink, ImageSink) else []

    def _open(self, task: Task, interrupt: GracefulInterrupt) -> tuple[FrameSource, Sink]:
        """The source of a task and the sink of its main output."""
        if isinstance(task, ImageTask):
            return ImageReader(tuple(task.target_of), self.selection, task.done), ImageSink(
                task.target_of, self._replace
            )
        reader = VideoReader(task.source, self.selection, stop_asked=lambda: interrupt.requested)
        if task.frames is not None:
            return reader, FrameFolderSink(task.target, task.stem, task.frames, task.source, self._replace)
        return reader, VideoSink(task.target, reader, reader.sound(), self.selection, self._replace)


class _RunProgress:
    """A progress bar for one source: frame rate, stage times, time left. Silent where stdout is not a terminal."""

    def __init__(self, source: FrameSource, clock: StageClock, visible: bool) -> None:
        self._clock = clock
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
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
            shown(Path(source.name).name[-24:]), total=source.expected_frames, rate="", stages=""
        )
        self._start: float | None = None

    def __enter__(self) -> _RunProgress:
        if not self._progress.disable:  # rich 13.7 prints an empty line for one that is disabled
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
        if not self._progress.disable:
            self._progress.stop()

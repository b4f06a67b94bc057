"""The part of hyperseg-run that reads cameras and streams: all of them at the same time, over one open model."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn

from hyperseg_runtime.cli.run_results import RunResults
from hyperseg_runtime.live.batching import SharedSegmenter
from hyperseg_runtime.live.connection import Connection, Opened
from hyperseg_runtime.live.group import LiveGroup, LiveRun, Notes
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.live.sinks import SharedSink, Windows
from hyperseg_runtime.live.source import LiveSource
from hyperseg_runtime.media import Kind
from hyperseg_runtime.names import shown
from hyperseg_runtime.output.coco import CocoFile
from hyperseg_runtime.output.frame_folder import FrameFolderSink
from hyperseg_runtime.output.render import Appearance, Renderer
from hyperseg_runtime.output.sinks import LabelSink, PolygonSink, Sink, StatsSink, VideoSink
from hyperseg_runtime.output.stats import StatsFile
from hyperseg_runtime.pipeline import Job, LivePolicy
from hyperseg_runtime.planning import VideoTask
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.stabiliser import Stabiliser
from hyperseg_runtime.timing import StageClock
from hyperseg_runtime.video.location import displayed
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Camera, Selection


@dataclass(frozen=True)
class LiveSession:
    """The options of a run of cameras and streams."""

    selection: Selection
    policy: LivePolicy
    stabilise: float | None
    """Time constant in seconds, of each source's own average."""
    reconnection: Reconnection
    look: Appearance
    labels: Path | None
    stats: StatsFile | None
    polygons: CocoFile | None
    show: bool
    replace: bool
    """Whether files that were created meanwhile may be replaced."""
    visible: bool
    """Whether there is a display of the progress on a terminal."""

    def run(
        self,
        tasks: Sequence[VideoTask],
        segmenter: Segmenter,
        results: RunResults,
        stop_asked: Callable[[], bool],
        note: Callable[[str], None],
    ) -> None:
        """Runs all tasks to their ends and adds their results. Raises OutputError where no window can be opened."""
        notes = Notes(note)
        windows = Windows()
        with ExitStack() as stack:
            stack.callback(windows.close)
            shared = stack.enter_context(SharedSegmenter(segmenter))
            locks = threading.Lock(), threading.Lock()
            runs = []
            for task in tasks:
                sinks = self._shared_sinks(displayed(task.source), *locks)
                if self.show:
                    sinks.append(windows.pane(_name(task)))
                runs.append(LiveRun(self._source(task, notes), partial(self._job, task, segmenter, shared, sinks)))
            progress = stack.enter_context(_LiveProgress([run.source for run in runs], self.visible))

            def tick() -> None:
                notes.tell()
                windows.show()
                progress.update()

            LiveGroup(runs, lambda: stop_asked() or windows.closed, notes).run(tick)
        for task, run in zip(tasks, runs, strict=True):
            if run.error is not None:
                results.add_error(task, run.error)
            elif run.summary is not None:
                outputs = [task.target] if task.target.exists() else []
                results.add(task, run.summary, outputs, run.source.losses, brief=len(tasks) > 1)

    def _source(self, task: VideoTask, note: Callable[[str], None]) -> LiveSource:
        opener = _Opener(task, self.reconnection.stall_seconds)
        connect = partial(Connection, opener, newest_only=self.policy is LivePolicy.LATEST, clock=time.monotonic)
        return LiveSource(_name(task), task.stem, connect, self.selection, self.reconnection, note)

    def _shared_sinks(self, source: str, for_stats: threading.Lock, for_polygons: threading.Lock) -> list[Sink]:
        sinks: list[Sink] = []
        if self.stats is not None:
            sinks.append(SharedSink(StatsSink(self.stats, source), for_stats))
        if self.polygons is not None:
            sinks.append(SharedSink(PolygonSink(self.polygons, source), for_polygons))
        return sinks

    def _job(
        self,
        task: VideoTask,
        segmenter: Segmenter,
        shared: SharedSegmenter,
        more: Sequence[Sink],
        source: LiveSource,
        stop_asked: Callable[[], bool],
    ) -> Job:
        sinks: list[Sink] = [
            VideoSink(task.target, source, source.sound, self.selection, self.replace)
            if task.frames is None
            else FrameFolderSink(task.target, task.stem, task.frames, _name(task), self.replace)
        ]
        if self.labels is not None:
            sinks.append(LabelSink(self.labels, segmenter.metadata.palette, self.replace))
        return Job(
            source,
            shared,
            Renderer(segmenter.metadata, replace(self.look, moving=True)),
            [*sinks, *more],
            self.policy,
            StageClock(),
            stop_asked=stop_asked,
            logit_filter=None if self.stabilise is None else Stabiliser(self.stabilise),
            on_drop=source.frame_replaced,
        )


def _name(task: VideoTask) -> str:
    """For messages and windows."""
    return f"camera {task.source}" if task.kind is Kind.CAMERA else displayed(task.source)


class _Opener:
    """Opens a task's source, again and again. What was live once is live."""

    def __init__(self, task: VideoTask, stall_seconds: float) -> None:
        self._task, self._stall_seconds = task, stall_seconds
        self._live = False

    def __call__(self, selection: Selection) -> Opened:
        """Raises InputError."""
        task = self._task
        if task.kind is Kind.CAMERA:
            return Opened(Camera(int(task.source), selection))
        reader = VideoReader(task.source, selection, self._stall_seconds, known_live=self._live)
        self._live |= reader.live
        origin = (lambda: reader.timeline.origin) if reader.may_be_file else None
        return Opened(reader, reader.sound, reader.untimed and reader.live, origin)


class _LiveProgress:
    """A line for each source: frames, rate, losses. Silent where stdout is not a terminal."""

    def __init__(self, sources: Sequence[LiveSource], visible: bool) -> None:
        self._sources = sources
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[state]}"),
            console=Console(),
            disable=not (visible and sys.stdout.isatty()),
            transient=True,
        )
        self._lines: list[TaskID] = [
            self._progress.add_task(shown(source.name[-40:]), total=None, state="") for source in sources
        ]
        self._began: dict[int, float] = {}

    def __enter__(self) -> _LiveProgress:
        if not self._progress.disable:
            self._progress.start()
        return self

    def update(self) -> None:
        if self._progress.disable:
            return
        for line, source in zip(self._lines, self._sources, strict=True):
            self._progress.update(line, state=self._state(line, source))

    def _state(self, line: TaskID, source: LiveSource) -> str:
        losses = source.losses
        if source.ended:
            return "ended"
        if source.away:
            return "lost, trying again" if source.connected else "waiting for the first frame"
        now = time.perf_counter()
        rate = source.taken / max(now - self._began.setdefault(line, now), 1e-9)
        return f"{source.taken} frames  {rate:.1f}/s  {losses.dropped} dropped"

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:
            self._progress.stop()

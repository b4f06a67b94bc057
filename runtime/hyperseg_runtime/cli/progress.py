"""The progress bar of a run: rate, stage times, time left. Silent where stdout is not a terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hyperseg_runtime.timing import Stage, StageClock
from hyperseg_runtime.video.frames import FrameSource

_SHOWN = {Stage.DECODE: "dec", Stage.INFERENCE: "net", Stage.ENCODE: "enc"}


class RunProgress:
    """A bar for one source; `frame_done` may be given as a job's `on_frame`."""

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

    def __enter__(self) -> RunProgress:
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
        times = ((name, self._clock.latest_ms(stage)) for stage, name in _SHOWN.items())
        stages = " ".join(f"{name} {ms:.0f}" for name, ms in times if ms is not None)
        self._progress.update(self._task, completed=done, rate=f"{rate:.1f}/s", stages=f"{stages} ms")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

"""Results of hyperseg-run: one for each input, told on the terminal or collected for --json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperseg_runtime.cli import common
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.live.source import Losses
from hyperseg_runtime.names import as_unicode, shown
from hyperseg_runtime.pipeline import JobSummary
from hyperseg_runtime.planning import Task
from hyperseg_runtime.video.location import displayed


class RunResults:
    """What became of the inputs so far."""

    def __init__(self, command: str, as_json: bool) -> None:
        """command: for messages. as_json: only problems and notes are told."""
        self._command, self._as_json = command, as_json
        self.failed = False
        """Whether any input failed, or has a problem."""
        self.records: list[dict[str, object]] = []
        """For --json, in the order of the ends."""

    def add_error(self, task: Task, error: HyperSegError) -> None:
        common.report(self._command, error)
        self.records.append({"input": as_unicode(displayed(task.source)), "error": as_unicode(str(error))})
        self.failed = True

    def add(
        self,
        task: Task,
        summary: JobSummary,
        outputs: Sequence[Path],
        losses: Losses | None = None,
        brief: bool = False,
    ) -> None:
        """losses: of a live source. brief: one of several that ran at the same time, whose stages are left out."""
        self.failed = self.failed or bool(summary.problems)
        self.records.append(_record(task, summary, outputs, losses))
        for problem in summary.problems:
            common.complain(self._command, problem)
        for note in summary.notes:
            common.note(self._command, note)
        if self._as_json:
            return
        if brief:
            common.say(f"{shown(displayed(task.source))}: {_frames(summary)}{_lost(losses)}\n-> {_where(outputs)}")
            return
        common.say(f"{'stage':<13}{'median ms':>10}{'mean ms':>10}{'p95 ms':>10}")
        for stage, times in summary.stages.items():
            common.say(f"{stage.value:<13}{times.median_ms:>10.2f}{times.mean_ms:>10.2f}{times.p95_ms:>10.2f}")
        common.say(f"{_frames(summary)}{_lost(losses)}\n-> {_where(outputs)}")


def _record(task: Task, summary: JobSummary, outputs: Sequence[Path], losses: Losses | None) -> dict[str, object]:
    record: dict[str, object] = {
        "input": as_unicode(displayed(task.source)),
        "outputs": [as_unicode(path) for path in outputs],
        "frames": summary.frames,
        "seconds": round(summary.seconds, 4),
        "frames_per_second": round(summary.frames_per_second, 3),
        "interrupted": summary.interrupted,
        "problems": [as_unicode(problem) for problem in summary.problems],
        "notes": [as_unicode(note) for note in summary.notes],
        "stages": {stage.value: times.to_dict() for stage, times in summary.stages.items()},
    }
    if losses is not None:
        record["dropped"] = losses.dropped
        record["reconnects"] = losses.reconnections
        record["outage_seconds"] = round(losses.outage_seconds, 3)
    return record


def _frames(summary: JobSummary) -> str:
    stopped = ", interrupted" if summary.interrupted else ""
    frames = _count(summary.frames, "frame")
    return f"{frames} in {summary.seconds:.2f} s, {summary.frames_per_second:.2f} frames/s{stopped}"


def _lost(losses: Losses | None) -> str:
    """ ", 12 frames dropped, lost for 31.5 s, reconnected 2 times" """
    if losses is None:
        return ""
    text = f", {_count(losses.dropped, 'frame')} dropped"
    if losses.reconnections or losses.outage_seconds:
        text += f", lost for {losses.outage_seconds:.1f} s, reconnected {_count(losses.reconnections, 'time')}"
    return text


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _where(outputs: Sequence[Path]) -> str:
    if not outputs:
        return "-"
    return shown(str(outputs[0]) if len(outputs) == 1 else f"{len(outputs)} images in {outputs[0].parent}")

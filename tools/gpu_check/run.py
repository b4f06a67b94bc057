"""Runs the stages of the check, each in a separate process and within the remaining time."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from gpu_check.processes import end_session
from gpu_check.report import CUT_SHORT, FAILED, SKIPPED, UNFINISHED, Report, StageResult
from gpu_check.stage import ROOT, Context, Stage

_LAUNCH = Path(__file__).with_name("launch.py")
_POLL_SECONDS = 0.2


def run_stages(
    report: Report,
    stages: Sequence[Stage],
    *,
    host: bool,
    work: Path,
    out: Path,
    log: IO[str],
    deadline: float,
    say: Callable[[str], None],
) -> None:
    """Adds a result for every stage to the report, and writes it whenever there is something new.

    Args:
        work: the folder with the built programs.
        out: the folder of the report.
        log: takes what the stages print.
        deadline: end of the whole check, by time.monotonic(). A stage gets a share of the remaining time, by weight.
        say: shows a line.

    Raises:
        OSError: the report cannot be written.
    """
    missing = {stage.name: None if host else stage.missing() for stage in stages}
    for index, stage in enumerate(stages):
        result = StageResult(stage.name, stage.title, unreached=stage.unreached if host else "")
        report.stages.append(result)
        left = deadline - time.monotonic()
        if reason := missing[stage.name]:
            result.status, result.reason = SKIPPED, reason
        elif left < stage.least_seconds:
            result.status = SKIPPED
            result.reason = f"needs {stage.least_seconds:.0f} s or more, {max(left, 0):.0f} s of --minutes were left"
        else:
            share = stage.weight / sum(later.weight for later in stages[index:] if not missing[later.name])
            started = time.monotonic()
            context = Context(host, str(work), str(out.resolve()), started + max(left * share, stage.least_seconds))
            file = work / f"{stage.name}.context"
            file.write_text(context.to_json())
            print(f"==== {stage.name}", file=log, flush=True)
            say(f"{stage.name}: {stage.shows} (at most {context.seconds_left:.0f} s)")
            command = [sys.executable, str(_LAUNCH), "--stage", stage.name, str(file)]
            listen(command, log, context, result, lambda: report.write(out))
            result.seconds = time.monotonic() - started
        report.write(out)
        say(f"  {result.name:<12}{result.status:<13}{result.seconds:6.1f} s  {result.reason}")
        if result.unreached:
            say(f"    not reached without a GPU: {result.unreached}")


def listen(
    command: Sequence[str], log: IO[str], context: Context, result: StageResult, changed: Callable[[], None]
) -> None:
    """Runs a stage's process and receives its messages until it ends or its time is over, then ends its session. The
    process gets the descriptor for its messages as its last argument."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [*command, str(write_end)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "HYPERSEG_LIBRARY_DIR": context.work},
        cwd=ROOT,
        pass_fds=(write_end,),
        start_new_session=True,
    )
    os.close(write_end)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_forward, args=(read_end, lines), daemon=True).start()
    limit = context.deadline + 5.0  # a stage looks at its deadline itself; this is for the one that hangs
    try:
        while True:
            ended = process.poll() is not None
            try:
                line = lines.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if ended:  # its children may still hold the pipe
                    break
                if time.monotonic() > limit:
                    result.status = CUT_SHORT
                    result.reason = "exceeded its time limit; results until then are kept"
                    return
                continue
            if line is None:
                break
            _take(line, result, log)
            changed()
        code = process.wait(timeout=5.0)
    finally:
        end_session(process)
    _conclude(result, code)


def _take(line: str, result: StageResult, log: IO[str]) -> None:
    try:
        result.add(json.loads(line))
    except (ValueError, KeyError, TypeError):
        print(f"not a message: {line!r}", file=log, flush=True)


def _conclude(result: StageResult, code: int) -> None:
    if code and result.status != FAILED:
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        result.status, result.reason = FAILED, f"ended {how}; see gpu-check.log"
    elif result.status == UNFINISHED:
        result.status, result.reason = FAILED, "ended without a result; see gpu-check.log"
    if result.status == FAILED and not result.reason:
        result.reason = result.failed_rows()


def _forward(descriptor: int, lines: queue.Queue[str | None]) -> None:
    with os.fdopen(descriptor, errors="replace") as messages:
        for line in messages:
            lines.put(line)
    lines.put(None)

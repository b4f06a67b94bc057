"""One run of the check: every stage in a process of its own, within the time that is left."""

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
from contextlib import suppress
from pathlib import Path
from typing import IO

from gpu_check.report import CUT_SHORT, FAILED, PASSED, SKIPPED, Report, StageResult
from gpu_check.stage import ROOT, Context, Stage


def run_stages(report: Report, stages: Sequence[Stage], *, host: bool, work: Path, out: Path, deadline: float) -> None:
    """Adds a result for every stage to the report, and writes it whenever there is something new.

    Args:
        work: the folder with the built programs.
        out: the folder of the report.
        deadline: when all has to end, by time.monotonic(). A stage has its share, by weight, of what is left.

    Raises:
        OSError: the report cannot be written.
    """
    missing = {stage.name: None if host else stage.missing() for stage in stages}
    for index, stage in enumerate(stages):
        result = StageResult(stage.name, stage.title)
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
            _run_stage(stage, context, result, lambda: report.write(out))
            result.seconds = time.monotonic() - started
        if host:
            result.unreached = stage.unreached
        report.write(out)
        _print_result(result)


def _run_stage(stage: Stage, context: Context, result: StageResult, changed: Callable[[], None]) -> None:
    file = Path(context.work) / f"{stage.name}.context"
    file.write_text(context.to_json())
    with (Path(context.out) / "gpu-check.log").open("a") as log:
        print(f"==== {stage.name}", file=log, flush=True)
        listen([sys.executable, "-m", "gpu_check.stage", stage.name, str(file)], log, context, result, changed)


def listen(
    command: Sequence[str], log: IO[str], context: Context, result: StageResult, changed: Callable[[], None]
) -> None:
    """Runs a stage's process and takes its messages until it ends or its time is over; then nothing of it is left."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "HYPERSEG_LIBRARY_DIR": context.work},
        cwd=ROOT,
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_forward, args=(process, lines), daemon=True).start()
    # A stage looks at its deadline itself; the rest is for the one that hangs.
    limit = context.deadline + 5.0
    try:
        while (line := lines.get(timeout=max(limit - time.monotonic(), 0.0))) is not None:
            result.add(json.loads(line))
            changed()
        code = process.wait(timeout=max(limit - time.monotonic(), 1.0))
    except (queue.Empty, subprocess.TimeoutExpired):
        result.status, result.reason = CUT_SHORT, "did not end within its time; what it said until then is kept"
        return
    finally:
        _end(process)
    if code and result.status == PASSED:
        result.status, result.reason = FAILED, f"ended with exit code {code}; see gpu-check.log"
    if result.status == FAILED and not result.reason:
        rows = [row for table in result.tables.values() for row in table if row.get("ok") is False]
        result.reason = f"{len(rows)} of its rows failed"


def _forward(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """And all of its session: what it started may have groups of its own."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()  # state, parent, group, session
            if int(fields[3]) == process.pid:
                os.kill(int(stat.parent.name), signal.SIGKILL)
    process.kill()
    process.wait()


def _print_result(result: StageResult) -> None:
    print(f"{result.title:<22}{result.status:<11}{result.seconds:6.1f} s  {result.reason}", flush=True)
    if result.unreached:
        print(f"    not reached without a GPU: {result.unreached}", flush=True)

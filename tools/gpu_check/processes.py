"""Programs with a time limit, of which nothing is left when it is over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def run_limited(command: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit code and output, stderr included; the code is None where the time was over, and then all that the command
    started is ended too."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=os.setpgrp,  # noqa: PLW1509  a group of its own, in the session of the stage
    )
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        text, _ = process.communicate()
        return None, text
    except BaseException:
        _kill_group(process)
        raise
    return process.returncode, text


def run_together(commands: Sequence[Sequence[str]], seconds: float, folder: Path) -> list[tuple[int | None, str]]:
    """As `run_limited`, all at a time. Their output is kept in `folder` meanwhile."""
    logs = [folder / f"command-{index}.log" for index in range(len(commands))]
    running: list[subprocess.Popen[bytes]] = []
    until = time.monotonic() + seconds
    try:
        for command, log in zip(commands, logs, strict=True):
            with log.open("wb") as file:
                running.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        preexec_fn=os.setpgrp,  # noqa: PLW1509
                    )
                )
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(until - time.monotonic(), 0.0))
        codes = [process.poll() for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                _kill_group(process)
                process.wait()
    return [(code, log.read_text(errors="replace")) for code, log in zip(codes, logs, strict=True)]


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Ends the process, which leads a session, and all of that session: what it started may have groups of its own."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()  # state, parent, group, session
            if int(fields[3]) == process.pid:
                os.kill(int(stat.parent.name), signal.SIGKILL)
    process.kill()
    process.wait()


def _kill_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

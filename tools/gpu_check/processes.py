"""Runs programs with a time limit, and ends all their processes when it is over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_SECONDS_TO_DIE = 10.0


def run_limited(command: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit code and output, stderr included; the code is None where the time was over, and then all that the command
    started is ended too."""
    process = _start(command, subprocess.PIPE)
    try:
        said, _ = process.communicate(timeout=seconds)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        _kill_group(process)
        said, _ = process.communicate()
        code = None
    except BaseException:
        _kill_group(process)
        raise
    return code, said.decode(errors="replace")


def run_together(commands: Sequence[Sequence[str]], seconds: float, folder: Path) -> list[tuple[int | None, str]]:
    """As `run_limited`, for several commands in parallel. Their output is kept in `folder` meanwhile."""
    logs = [folder / f"command-{index}.log" for index in range(len(commands))]
    running: list[subprocess.Popen[bytes]] = []
    until = time.monotonic() + seconds
    try:
        for command, log in zip(commands, logs, strict=True):
            with log.open("wb") as file:
                running.append(_start(command, file))
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
    """Ends the process, a session leader, and its whole session: its children may have separate process groups.
    Returns when they are gone; one that waits in the driver is given up after a while."""
    until = time.monotonic() + _SECONDS_TO_DIE
    while (members := _session(process.pid)) and time.monotonic() < until:
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        time.sleep(0.01)
    process.poll()


def _session(leader: int) -> list[int]:
    """The live processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):  # gone meanwhile
            state, _, _, session, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(session) == leader and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


def _start(command: Sequence[str], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts a process group within the session of the stage."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=os.setpgrp,  # noqa: PLW1509  no threads are started before
    )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

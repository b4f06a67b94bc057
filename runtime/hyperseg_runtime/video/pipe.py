"""Pipes as inputs: standard input and FIFOs, which are read once, without going back.

ffmpeg's own reading of a pipe waits in the system call, where neither Ctrl-C nor the end of the run reaches it.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from io import FileIO
from pathlib import Path
from typing import Final

from hyperseg_runtime.errors import InputError

STANDARD_INPUT: Final = "-"
_POLL_MS = 100
_PATIENCE_MS = 1000
"""How long to wait for more when all frames are there and only sound may be missing."""


class Pipe:
    """A file for PyAV, without `seek`. `stop`, from any thread, ends it at once."""

    def __init__(self, descriptor: int) -> None:
        """Takes ownership of `descriptor`."""
        self._descriptor = descriptor
        self._stopped = threading.Event()
        self._hurried = False

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as soon as there are any; none at the end."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        waited = 0
        # A FIFO without a writer reads as ended, whether its writer has gone or is still to come. Only poll tells.
        while not poll.poll(_POLL_MS):
            waited += _POLL_MS
            if self._hurried and waited >= _PATIENCE_MS:
                self.stop()  # ffmpeg tries an end again
            if self._stopped.is_set():
                return b""
        return b"" if self._stopped.is_set() else os.read(self._descriptor, size)

    def hurry(self) -> None:
        """From now on, a second without data is the end."""
        self._hurried = True

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.stop()
        os.close(self._descriptor)


def open_pipe(source: str) -> Pipe | FileIO | None:
    """Opens standard input ("-") or a FIFO; None for anything else. Raises InputError.

    Standard input that is a file gives a file, so that it can be read in any order.
    """
    if source == STANDARD_INPUT:
        return _standard_input()
    try:
        if "://" in source or not stat.S_ISFIFO(Path(source).stat().st_mode):
            return None
        return Pipe(os.open(source, os.O_RDONLY | os.O_NONBLOCK))  # opening would wait for a writer
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}") from error


def _standard_input() -> Pipe | FileIO:
    try:
        mode = os.fstat(0).st_mode
    except OSError as error:
        raise InputError("standard input (-) is closed; pipe a video into it, or name a file") from error
    if os.isatty(0):
        raise InputError("standard input (-) is a terminal; pipe a video into it, or name a file")
    return FileIO(0, closefd=False) if stat.S_ISREG(mode) else Pipe(os.dup(0))

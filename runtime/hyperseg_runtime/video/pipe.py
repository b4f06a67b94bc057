"""Pipes as inputs: standard input and FIFOs, which are read once, without going back.

ffmpeg's own reading of a pipe waits in the system call, where neither Ctrl-C nor the end of the run reaches it.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Final

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.video.location import STANDARD_INPUT, is_url

_POLL_MS = 100
_PATIENCE_MS: Final = 1000
"""How long to wait for more when all frames are there and only sound may be missing."""


class Pipe(io.RawIOBase):
    """A file for PyAV, without `seek`. `stop`, from any thread, ends it at once."""

    def __init__(self, descriptor: int, stop_asked: Callable[[], bool] = lambda: False) -> None:
        """Takes ownership of `descriptor`. stop_asked: polled while there is no data; True ends the file."""
        super().__init__()
        self._descriptor, self._stop_asked = descriptor, stop_asked
        self._stopped = threading.Event()
        self._hurried = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes as soon as there are any; none at the end."""
        waited = 0
        # A FIFO without a writer reads as ended, whether its writer has gone or is still to come. Only poll tells.
        while not self._has_data():
            waited += _POLL_MS
            if self._stop_asked() or (self._hurried and waited >= _PATIENCE_MS):
                self.stop()  # ffmpeg tries an end again
            if self._stopped.is_set():
                return b""
        return b"" if self._stopped.is_set() else os.read(self._descriptor, size)

    def _has_data(self) -> bool:
        if not hasattr(select, "poll"):  # Windows, where no pipe can be polled
            return True
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(_POLL_MS))

    def hurry(self) -> None:
        """From now on, a second without data is the end."""
        self._hurried = True

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.stop()
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_pipe(source: str, stop_asked: Callable[[], bool] = lambda: False) -> Pipe | FileIO | None:
    """Opens standard input ("-") or a FIFO; None for anything else. Raises InputError. stop_asked: as in `Pipe`.

    Standard input that is a file gives a file, so that it can be read in any order.
    """
    if source == STANDARD_INPUT:
        return _standard_input(stop_asked)
    try:
        if is_url(source) or not stat.S_ISFIFO(Path(source).stat().st_mode):
            return None
        # Without O_NONBLOCK, opening would wait for a writer.
        return Pipe(os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), stop_asked)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {source}: {getattr(error, 'strerror', None) or error}") from error


def _standard_input(stop_asked: Callable[[], bool]) -> Pipe | FileIO:
    try:
        descriptor = sys.__stdin__.fileno() if sys.__stdin__ is not None else 0
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError) as error:
        raise InputError("standard input (-) is closed; pipe a video into it, or name a file") from error
    if os.isatty(descriptor):
        raise InputError("standard input (-) is a terminal; pipe a video into it, or name a file")
    if stat.S_ISREG(mode):
        return FileIO(descriptor, closefd=False)
    return Pipe(os.dup(descriptor), stop_asked)

"""Lock of a folder of results: runs that belong together share it, others are refused.

The folder itself is locked (flock), which needs no file of its own, and ends with the process, however that ends. Where
the system has no such locks, every run gets what it asks for.
"""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Not locked until asked; released by `release`, or with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def alone(self) -> bool:
        """Locks the folder for this run alone; False where another run has it."""
        if fcntl is None:
            return True
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._folder, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True

    def share(self) -> None:
        """Lets other runs share the folder; waits while one has it alone, which is short."""
        if fcntl is not None and self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            except OSError:  # a file system without locks
                return

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

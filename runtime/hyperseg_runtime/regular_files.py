"""Bounded reads of files that anybody may have put there: regular files only, so that no read waits or never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Without O_NONBLOCK, opening a pipe waits for its writer; with O_NOCTTY, no terminal becomes ours.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file, through links, for reading. Raises OSError whose `strerror` is one line; ValueError for a
    name that no file can have.

    What the returned descriptor is open on has been checked, so that a file that is exchanged meanwhile is not read.
    """
    _check(path.stat())  # before it is opened: opening some devices has an effect
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(file: BinaryIO, limit: int) -> bytes:
    """All bytes of a file, at most `limit`. Raises OSError whose `strerror` is one line."""
    content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    return content


def read_regular(path: Path, limit: int) -> bytes:
    """All bytes of a regular file, at most `limit`. Raises OSError and ValueError as `open_regular`."""
    with open_regular(path) as file:
        return read_bounded(file, limit)


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")

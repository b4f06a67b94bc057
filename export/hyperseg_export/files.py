"""Output files that are whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperseg_runtime.errors import OutputError


def check_target(target: Path, force: bool) -> None:
    """Raises OutputError where `target` cannot become a file; called before the work begins."""
    try:
        _check(target, force)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {reason(error)}") from error


def _check(target: Path, force: bool) -> None:
    folder = target.parent
    if target.is_dir():
        raise OutputError(f"{target} is a directory; name a file")
    if not folder.is_dir():
        raise OutputError(f"{target}: the folder {folder} does not exist; create it first")
    if os.path.lexists(target) and not force:
        raise OutputError(f"{target} exists and was kept; replace it with --force, or name another file")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is not a regular file; name another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: no permission to write in {folder}")


@contextmanager
def replacing(target: Path, force: bool) -> Iterator[Path]:
    """A file beside `target` to write into, moved to its place if the block ends well and removed if not.

    Raises OutputError for a target that is not possible, and in place of an OSError (a full disk) inside the block.
    """
    check_target(target, force)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        check_target(target, force)
        draft.replace(target)
    except OSError as error:
        raise OutputError(f"{target} was not written: {reason(error)}") from error
    finally:
        draft.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """What went wrong, with the remedy where there is one."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space, or write to another one (-o FILE)"
    if error.errno == errno.EFBIG:
        return "the file is larger than this system allows; see `ulimit -f`"
    return error.strerror or str(error)

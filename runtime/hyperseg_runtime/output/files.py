"""Output files: checked before the work begins, written beside their place, renamed when they are whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hyperseg_runtime.errors import OutputError


def beside(path: Path) -> Path:
    """The name under which `path` is written until it is whole."""
    return path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")


def publish(part: Path, path: Path) -> None:
    """Gives a finished file its name, in one step."""
    part.replace(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file or none. Raises OutputError."""
    part = beside(path)
    try:
        part.write_bytes(content)
        publish(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(explain(path, error)) from error


def explain(path: Path, error: OSError | Exception) -> str:
    """One line that says why `path` could not be written."""
    code = getattr(error, "errno", None)
    if code == errno.ENOSPC:
        return f"cannot write {path}: the disk is full; free some space or choose another place (-o)"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write {path}: not allowed; choose another place (-o)"
    return f"cannot write {path}: {getattr(error, 'strerror', None) or error}"


def check_file_target(path: Path, force: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Raises OutputError where writing `path` would fail, replace an input, or (without force) replace anything."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder, not a file name; name a file (-o FILE)")
    if any(path.exists() and source.exists() and path.samefile(source) for source in inputs):
        raise OutputError(f"{path} is the input itself; choose another name (-o FILE)")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; --force replaces it, -o FILE chooses another name")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; make it first, or choose another place (-o)")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: not allowed; choose another place (-o)")


def make_folder(path: Path) -> None:
    """Makes a folder for outputs. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{path} is a file, not a folder; choose another place") from None
    except OSError as error:
        raise OutputError(explain(path, error)) from error

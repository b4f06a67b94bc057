"""Atomic output files: checked before the work begins, written to a draft in the target's folder, then renamed.

A target is complete or absent, even after a crash or a full disk. The draft is a hidden file in the target's folder,
`.hyperseg-<pid>-<random>.part`: short, since the target's name may be as long as the file system allows, and
without the target's suffix, so that searches for *.onnx or *.png do not find it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hyperseg_runtime.errors import OutputError


class Draft:
    """The file that is written in place of `target` until `publish` renames it.

    For outputs that stay open between calls (a video, a log); use `replacing` where one block writes the whole file.
    """

    def __init__(self, target: Path, *, through_link: bool = True) -> None:
        """through_link: a link stays, and leads to the new file. False replaces the link itself: for files that no user
        named, since whoever can write to the folder could lead them anywhere."""
        self.target = Path(os.path.realpath(target if through_link else target.parent))
        if not through_link:
            self.target /= target.name
        self.path = self.target.with_name(f".hyperseg-{os.getpid()}-{os.urandom(4).hex()}.part")

    def publish(self, sync: bool = True, replace: bool = True) -> None:
        """Flushes the closed draft to the disk and renames it to the target. Raises OSError.

        sync: False skips the flush, for files that are written many times a second. After a power failure such a file
        may be empty.
        replace: False raises FileExistsError where a target was created meanwhile; True replaces it, and keeps its
        permissions.
        """
        # Not through a link: whoever may write to the folder could lead it to a file of ours.
        descriptor = os.open(self.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        try:
            if sync:
                os.fsync(descriptor)
            if replace:
                with contextlib.suppress(FileNotFoundError):
                    _set_mode(self.path, descriptor, self.target.stat().st_mode & 0o777)
        finally:
            os.close(descriptor)
        if replace:
            self.path.replace(self.target)
            return
        try:
            self.target.hardlink_to(self.path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            self.path.replace(self.target)
        else:
            self.path.unlink()

    def discard(self) -> None:
        """Deletes the draft; does nothing once it is published."""
        self.path.unlink(missing_ok=True)


def _set_mode(path: Path, descriptor: int, mode: int) -> None:
    if os.chmod in os.supports_fd:
        os.chmod(descriptor, mode)  # of the file that is open, whatever has its name by now
    else:
        path.chmod(mode)  # Windows


def discard_abandoned_drafts(folder: Path) -> None:
    """Deletes the drafts in `folder` whose process was killed. Never raises."""
    if os.name != "posix":  # elsewhere os.kill(pid, 0) is no question
        return
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = re.fullmatch(r"\.hyperseg-([0-9]{1,9})-[0-9a-f]{8}\.part", path.name)
            if match is not None and not _runs(int(match[1])):
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


@contextmanager
def replacing(target: Path, force: bool, *, sync: bool = True, through_link: bool = True) -> Iterator[Path]:
    """Gives the path of a draft to write to; renames it to `target` if the block ends well, deletes it otherwise.

    Raises OutputError where `check_target` does, and in place of any OSError within the block. sync,
    through_link: as in `Draft`.
    """
    check_target(target, force)
    draft = Draft(target, through_link=through_link)
    try:
        yield draft.path
        draft.publish(sync, replace=force)
    except OSError as error:
        if isinstance(error, FileExistsError):
            check_target(target, force)  # it was created meanwhile: says that it was kept
        raise write_error(target, error) from error
    finally:
        draft.discard()


def write_bytes(
    target: Path, content: bytes, *, sync: bool = True, replace: bool = True, through_link: bool = True
) -> None:
    """Writes a complete file. Raises OutputError. sync, replace, through_link: as in `Draft`."""
    with replacing(target, force=replace, sync=sync, through_link=through_link) as draft:
        draft.write_bytes(content)


def check_target(target: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Raises OutputError where `target` cannot be written, is one of `inputs`, or exists and `force` is false."""
    try:
        _check(target, force, inputs)
    except ValueError as error:  # a NUL in the name
        raise OutputError(f"{str(target)!r} cannot be the name of a file: {error}") from error
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {reason(error)}") from error


def is_folder(path: Path) -> bool:
    """False also for a name that no file can have, where Path.is_dir raises."""
    return os.path.isdir(path)  # noqa: PTH112


def check_name(path: Path) -> None:
    """Raises OutputError where the name is too long for the file system, whether or not the folder exists yet."""
    above = path.parent
    with contextlib.suppress(OSError, ValueError, AttributeError):  # AttributeError: Windows has no pathconf
        while not above.is_dir() and above != above.parent:
            above = above.parent
        limit = os.pathconf(above, "PC_NAME_MAX")
        length = len(os.fsencode(path.name))
        if length > limit:
            short = f"{path.name[:32]}...{path.suffix[:8]}"
            raise OutputError(f"the name {short} has {length} bytes, of at most {limit}; name a shorter one (-o)")


def check_folder(folder: Path) -> None:
    """Raises OutputError where `folder` is no folder, cannot be created, or cannot be written to. Creates nothing."""
    try:
        above = folder
        while not os.path.lexists(above):
            if above.parent == above or above.name == "..":
                raise OutputError(f"the folder {folder} cannot be created: {above} does not exist")
            check_name(above)
            above = above.parent
        if above.is_symlink() and not above.exists():
            raise OutputError(
                f"{above} is a link to {above.readlink()}, which does not exist; create that folder first"
            )
        if not above.is_dir():
            raise OutputError(f"{above} is a file, not a folder; name another folder")
        if not os.access(above, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: no permission to write in {above}; choose another folder (-o)")
    except ValueError as error:  # a NUL in the name
        raise OutputError(f"{str(folder)!r} cannot be the name of a folder: {error}") from error
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be used: {reason(error)}") from error


def _check(target: Path, force: bool, inputs: Sequence[Path]) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"{target}: the folder {folder} does not exist; create it first, or name another file")
    folder.resolve()  # raises if the working folder was deleted
    exists = _exists(target)
    if target.is_dir():
        raise OutputError(f"{target} is a directory; name a file")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is not a regular file; name another one")
    if any(target.exists() and source.exists() and target.samefile(source) for source in inputs):
        raise OutputError(f"{target} is the input itself; name another file")
    if exists and not force:
        raise OutputError(f"{target} exists and was kept; replace it with --force, or name another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: no permission to write in {folder}; choose another folder")


def _exists(target: Path) -> bool:
    """Counts broken links too. Raises OSError for a name that the file system does not take (ENAMETOOLONG)."""
    try:
        target.lstat()
    except FileNotFoundError:
        return False
    return True


def make_folder(folder: Path) -> list[Path]:
    """Creates a folder for outputs, with its parents; returns those that were missing. Raises OutputError."""
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        return missing
    except FileExistsError:
        raise OutputError(f"{folder} is a file, not a folder; name another folder") from None
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be created: {reason(error)}") from error


def write_error(target: Path, error: Exception) -> OutputError:
    """The OutputError for a failed write to `target` or to its draft."""
    return OutputError(f"{target} was not written: {reason(error)}")


def reason(error: Exception) -> str:
    """Describes an OSError, or one of PyAV's errors, with the remedy where there is one."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space, or write to another one"
    if code == errno.EEXIST:
        return "a file of this name was created meanwhile, and was kept; replace it with --force"
    if code == errno.EFBIG:
        return "the file is larger than this system allows; see `ulimit -f`"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied; choose another folder"
    if code == errno.ENAMETOOLONG:
        return "the name is too long; name a shorter one (-o)"
    return str(getattr(error, "strerror", None) or error)

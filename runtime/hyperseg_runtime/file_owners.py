"""Whether other users may change or exchange a file that this user relies on, as OpenSSH asks for its own files.

A file is as safe as the folders that lead to it: whoever may rename in one of them can put a link to another file of
this user's in its place, such as one that was cloned or unpacked. So the file and its folder must belong to this user
or to root and be writable by nobody else, and outside of the home, the same holds for every folder above. The home
itself is not looked at: whoever may write there needs no keys to run code as this user.

Other than in sshd (StrictModes), a folder above may be sticky, as /tmp, where nobody renames the files of others; and
it may be writable by a group that this user alone is in, which many systems make for every user (umask 002), or by
root's.
"""

from __future__ import annotations

import os
import stat
from itertools import takewhile
from pathlib import Path

from hyperseg_runtime.errors import KeyFileError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_owner_and_mode(path: Path, status: os.stat_result, variable: str, *, secret: bool = False) -> None:
    """Raises KeyFileError where others own the file or folder `path` or may write to it; secret: or read it.

    variable: the environment variable that names another folder for it, for the remedy.
    """
    if os.name != "posix":
        return
    _check_owner(path, status, variable)
    if status.st_mode & (0o077 if secret else _OTHERS_WRITE):
        verb = "read or change" if secret else "change"
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise KeyFileError(
            f"other users may {verb} {path} (mode {stat.S_IMODE(status.st_mode):o}), so its keys are not used; see "
            f"that they did not, then chmod {mode} {path}, or, where modes cannot be set, set {variable} to a folder "
            "where they can"
        )


def check_folder_of(path: Path, variable: str) -> None:
    """Raises KeyFileError where others may exchange the file `path`, by its folder or by one above. Raises OSError."""
    if os.name != "posix":
        return
    check_owner_and_mode(path.parent, path.parent.stat(), variable)
    for folder in _leading_to(path):
        status = folder.stat()
        if os.geteuid() != 0:  # root in a container works in what is mounted there, of any user
            _check_owner(folder, status, variable)
        if _others_may_rename_in(status):
            raise KeyFileError(
                f"other users may exchange {path}, since they may write to {folder} (mode "
                f"{stat.S_IMODE(status.st_mode):o}), so its keys are not used; see that they did not, then chmod go-w "
                f"{folder}, or set {variable} to a folder of your own"
            )


def check_not_sudo(folder: Path, variable: str) -> None:
    """Raises KeyFileError where root would make files in the home of the user who called sudo: that user could not use
    them. Raises OSError."""
    if os.name == "posix" and _is_of_sudos_user(folder.stat()):
        raise KeyFileError(
            f"{folder} is of the user who called sudo, who could not use keys that root makes there; run the command "
            f"without sudo, or set {variable} to a folder of root's"
        )


def _leading_to(path: Path) -> list[Path]:
    """The folders above the one of `path`, and above the file that it is a link to, up to the home."""
    try:
        homes = {Path.home(), Path(os.path.realpath(Path.home()))}
    except RuntimeError:  # a user without a home, as in containers
        homes = set()
    found: dict[Path, None] = {}
    for above in (path.parent.parents, Path(os.path.realpath(path)).parents):
        outside = takewhile(lambda folder: not homes.intersection((folder, *folder.parents)), above)
        found.update(dict.fromkeys(outside))
    return list(found)


def _others_may_rename_in(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_ISVTX:
        return False
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_own_group(status.st_gid)


def _is_own_group(gid: int) -> bool:
    import grp  # which Windows does not have
    import pwd

    if gid == 0:
        return True
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in containers
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}


def _check_owner(path: Path, status: os.stat_result, variable: str) -> None:
    user = os.geteuid()
    if status.st_uid in (user, 0):
        return
    if _is_of_sudos_user(status):
        remedy = f"run the command without sudo, or set {variable} to a folder of root's"
    else:
        remedy = f"chown {user} {path}, if its content is yours, or set {variable} to a folder of your own"
    raise KeyFileError(f"{path} belongs to another user (uid {status.st_uid}), so its keys are not used; {remedy}")


def _is_of_sudos_user(status: os.stat_result) -> bool:
    return os.geteuid() == 0 and status.st_uid != 0 and os.environ.get("SUDO_UID") == str(status.st_uid)

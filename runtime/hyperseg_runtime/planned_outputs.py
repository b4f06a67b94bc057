"""The output files of one command, checked together before anything is written.

No output replaces an input, the model or another output, whatever their names: links are followed, hard links are
found by their inode, and names that differ in case are the same where the file system takes them for the same.
Each file costs a few system calls, however many there are.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.output_files import check_folder, check_name, check_target, make_folder

_NUMBERED = re.compile(r"(.*)_([0-9]{6}|[1-9][0-9]{6,})(\.[a-z]+)", re.DOTALL | re.IGNORECASE)
MayReplace = Callable[[Path], bool]
_Inode = tuple[int, int]
_Place = tuple[object, str]
"""A folder (its inode, or its path where it does not exist yet) and a name in it."""


def numbered_name(stem: str, index: int, suffix: str) -> str:
    """The name of the file about a video's frame."""
    return f"{stem}_{index:06d}{suffix}"


def numbered_files(folder: Path, stem: str, suffix: str) -> list[str]:
    """The names in a folder that `numbered_name` gives for this stem and suffix. Raises OSError."""
    matches = (_NUMBERED.fullmatch(path.name) for path in folder.iterdir())
    return [match[0] for match in matches if match is not None and (match[1], match[3]) == (stem, suffix)]


@dataclass(frozen=True)
class _Folder:
    key: object
    exists: bool
    ignores_case: bool
    path: Path

    @classmethod
    def of(cls, path: Path) -> _Folder:
        try:
            return cls(_inode(path), True, ignores_case(path), path)
        except OSError:
            real = Path(os.path.realpath(path))
            insensitive = ignores_case(next(parent for parent in real.parents if parent.is_dir()))
            return cls(str(real).casefold() if insensitive else str(real), False, insensitive, path)

    @cached_property
    def numbered(self) -> dict[str, list[Path]]:
        """The files with names as of frames, by stem and suffix."""
        found: dict[str, list[Path]] = {}
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.path):
                match = _NUMBERED.fullmatch(_fold(entry.name, self))
                if match is not None:
                    found.setdefault(match[1] + match[3], []).append(Path(entry.path))
        return found


@dataclass(frozen=True)
class _Target:
    path: Path
    role: str


class PlannedOutputs:
    """The files that a command must keep, and those that it will write. Nothing is created before `make_folders`.

    `role` is how messages name a file: "the input itself", "the report".
    """

    def __init__(self, force: bool = False) -> None:
        """force: existing files may be replaced, except those to keep."""
        self._force = force
        self._kept: dict[_Inode | _Place, str] = {}
        self._targets: dict[_Place, _Target] = {}
        self._inodes: dict[_Inode, _Target] = {}
        self._frames: dict[_Place, _Target] = {}
        self._numbered_names: dict[_Place, str] = {}
        self._folders: dict[Path, _Folder] = {}
        self._new_folders: dict[Path, None] = {}
        self._folder_places: dict[_Place, Path] = {}

    def keep(self, path: Path, role: str) -> None:
        """Adds a file that no target may be. Raises OutputError where one is."""
        try:
            inode, place = _inode(path), self._place(path)
        except (OSError, ValueError):
            return  # an input that is not there is reported when it is read
        self._kept.setdefault(inode, role)
        self._kept.setdefault(place, role)
        target = self._inodes.get(inode) or self._targets.get(place) or self._frames_of(place, path)
        if target is not None:
            raise OutputError(f"{target.path} ({target.role}) is {role}; name another file")

    def add_folder(self, folder: Path) -> None:
        """Adds a folder of outputs, to be created where it is missing. Raises OutputError."""
        if folder in self._new_folders:
            return
        check_folder(folder)
        self._new_folders[folder] = None
        for missing in (folder, *folder.parents):
            if os.path.lexists(missing):
                break
            place = self._place(missing)
            self._folder_places[place] = folder
            if place in self._targets:
                raise OutputError(_both(missing, self._targets[place].role, "a folder of outputs"))

    def add(self, path: Path, role: str, may_replace: MayReplace | None = None) -> None:
        """Adds a file to write. Raises OutputError.

        may_replace: whether an existing file may be replaced, instead of `force`.
        """
        check_name(path)
        if path.parent not in self._new_folders or self._folder(path.parent).exists:
            check_target(path, self._force if may_replace is None else may_replace(path))
        place, target = self._place(path), _Target(path, role)
        self._refuse(path, self._kept.get(place))
        other = self._targets.setdefault(place, target)
        if other is not target:
            raise OutputError(_same(path, role, other.role))
        if place in self._folder_places:
            raise OutputError(_both(path, role, "a folder of outputs"))
        frames = self._frames_of(place, path)
        if frames is not None:
            raise OutputError(_perhaps(path, role, frames.role))
        self._add_inode(path, target)

    def add_frames(
        self, folder: Path, stem: str, suffix: str, role: str, may_replace: MayReplace | None = None
    ) -> None:
        """Adds the files STEM_000000.SUFFIX and so on in a folder of `add_folder`. Raises OutputError."""
        first = folder / numbered_name(stem, 0, suffix)
        check_name(first)
        directory = self._folder(folder)
        place, target = (directory.key, _fold(stem + suffix, directory)), _Target(first, role)
        other = self._frames.setdefault(place, target)
        if other is not target:
            raise OutputError(_same(first, role, other.role))
        name = self._numbered_names.get(place)
        if name is not None:
            raise OutputError(_perhaps(folder / name, "an input or another output", role))
        for path in directory.numbered.get(_fold(stem + suffix, directory), ()):
            self._add_inode(path, target)
            if not (self._force if may_replace is None else may_replace(path)):
                raise OutputError(
                    f"{path} exists and was kept ({role}); --force may replace it, or choose another folder"
                )

    def count_frames(self, folder: Path, stem: str, suffix: str) -> int:
        """How many files STEM_000000.SUFFIX and so on there are."""
        directory = self._folder(folder)
        return len(directory.numbered.get(_fold(stem + suffix, directory), ()))

    @property
    def folders(self) -> Iterable[Path]:
        """Those of `add_folder`."""
        return self._new_folders.keys()

    def make_folders(self) -> list[Path]:
        """Creates the folders of `add_folder`; returns those that were missing, the innermost first."""
        made = [missing for folder in self._new_folders for missing in make_folder(folder)]
        return sorted(made, key=lambda folder: len(folder.parts), reverse=True)

    def _add_inode(self, path: Path, target: _Target) -> None:
        with contextlib.suppress(OSError):
            inode = _inode(path)
            self._refuse(path, self._kept.get(inode))
            self._inodes.setdefault(inode, target)

    def _refuse(self, path: Path, role: str | None) -> None:
        if role is not None:
            raise OutputError(f"{path} is {role}; name another file")

    def _frames_of(self, place: _Place, path: Path) -> _Target | None:
        """The frames' target that takes this file's name; remembers numbered names."""
        match = _NUMBERED.fullmatch(place[1])
        if match is None:
            return None
        key = place[0], match[1] + match[3]
        self._numbered_names.setdefault(key, path.name)
        return self._frames.get(key)

    def _place(self, path: Path) -> _Place:
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        folder = self._folder(path.parent)
        return folder.key, _fold(path.name, folder)

    def _folder(self, path: Path) -> _Folder:
        found = self._folders.get(path)
        if found is None:
            found = self._folders[path] = _Folder.of(path)
        return found


def ignores_case(folder: Path) -> bool:
    """Whether the file system of an existing folder takes `A` and `a` for the same name."""
    real = Path(os.path.realpath(folder))
    for part in (real, *real.parents):
        other = part.with_name(part.name.swapcase()) if part.name else part
        if other != part:
            try:
                return other.samefile(part)
            except OSError:
                return False
    return False


def _fold(name: str, folder: _Folder) -> str:
    return unicodedata.normalize("NFC", name).casefold() if folder.ignores_case else name


def _inode(path: Path) -> _Inode:
    status = path.stat()
    return status.st_dev, status.st_ino


def _perhaps(path: Path, role: str, frames: str) -> str:
    return f"{path} would be {role} and, by its name, one of {frames}; name another folder, or run them separately"


def _same(path: Path, role: str, other: str) -> str:
    if role == other:
        return f"two inputs would both be written to {path} ({role}); run them one by one with -o"
    return _both(path, other, role)


def _both(path: Path, one: str, other: str) -> str:
    return f"{path} would be both {one} and {other}; name two files"

"""Image files of a folder or glob, each with a key by which images and labels are paired.

The key is the path below the folder without its file suffix; of a glob, what its wildcards stand for, with the path
below a folder that it names. Keys are in Unicode's form NFC, for a file system may give a name in another form than a
text file.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hyperseg.data.reading import IMAGE_SUFFIXES
from hyperseg.errors import DataError

_WILDCARDS = re.compile(r"[*?\[]")
_MOST_WAYS = 64
"""Ways to one folder, by links, in which its files are listed: links among n folders make as many as n! of them."""


@dataclass(frozen=True)
class FoundFile:
    """An image file with its key."""

    key: str
    path: Path


def normalised(name: str) -> str:
    """A key or name in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name)


def exists(root: Path, pattern: str) -> bool:
    """Whether the folder of a pattern, or the fixed part of a glob, exists."""
    return _split(root, pattern)[0].exists()


def fixed_part(root: Path, pattern: str) -> Path:
    """The folder of a pattern; of a glob, the part before its first wildcard."""
    return _split(root, pattern)[0]


def find_files(root: Path, pattern: str) -> list[FoundFile]:
    """Find the image files of a folder (with all folders in it) or glob, sorted by key; hidden ones are left out.

    No file is opened. `**` stands for any number of folders; wildcards match in any case.

    Raises:
        DataError: the folder is missing or cannot be read, or there are no image files; the message names it.
    """
    folder, wildcards = _split(root, pattern)
    if not folder.exists():
        raise DataError(f"{folder} does not exist" + (f" (of {pattern!r})" if wildcards else ""))
    if folder.is_file():
        return [FoundFile(normalised(folder.stem), folder)]
    glob = _Glob.of(wildcards) if wildcards else None
    found = [
        FoundFile(normalised(key), Path(path))
        for path, inner in _walk(folder, glob.depth if glob else None)
        if (key := _key(inner) if glob is None else glob.key(inner)) is not None
    ]
    if not found:
        raise DataError(f"{root / pattern} has no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return sorted(found, key=lambda file: (file.key, file.path))


def _split(root: Path, pattern: str) -> tuple[Path, str]:
    """Divide a pattern into the part before its first wildcard, as a path, and the rest."""
    whole = root / Path(pattern).expanduser()
    if whole.exists() or not _WILDCARDS.search(pattern):
        return whole, ""
    parts = PurePosixPath(Path(pattern).expanduser().as_posix()).parts
    first = next(index for index, part in enumerate(parts) if _WILDCARDS.search(part))
    return root.joinpath(*parts[:first]), "/".join(parts[first:])


def file_suffix(name: str) -> str:
    """The suffix of a name with its dot; "" without one. (`Path.suffix` takes a good part of opening many files.)"""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and stem and "/" not in suffix else ""


def _key(inner: str) -> str:
    return inner[: len(inner) - len(file_suffix(inner))]


@dataclass(frozen=True)
class _Glob:
    """The part of a glob from its first wildcard on."""

    regex: re.Pattern[str]
    depth: int | None
    """Folders to look into; None for any number."""

    @staticmethod
    def of(wildcards: str) -> _Glob:
        *folders, name = wildcards.split("/")
        if name == "**":
            folders, name = [*folders, name], "*"
        pattern = "".join("((?:[^/]+/)*)" if part == "**" else _regex(part) + "/" for part in folders)
        stem, dot, suffix = name.rpartition(".")
        if dot:
            pattern += _regex(stem) + r"\." + _regex(suffix, "?:")
        else:  # files of any suffix, and folders with all that is in them
            pattern += rf"{_regex(name)}(?:/(.+))?\.[^/.]+"
        depth = None if "**" in folders or not dot else len(folders)
        try:
            return _Glob(re.compile(pattern, re.IGNORECASE), depth)
        except re.error:
            raise DataError(f"{wildcards!r} is no glob: a range in [ ] must rise, as [0-9] does") from None

    def key(self, inner: str) -> str | None:
        match = self.regex.fullmatch(inner)
        return None if match is None else "/".join(group.rstrip("/") for group in match.groups() if group)


def _regex(part: str, capture: str = "") -> str:
    """Translate one part of a glob; what its wildcards stand for is captured, unless `capture` is "?:"."""
    pattern, place = "", 0
    while place < len(part):
        if part.startswith("[", place) and (end := part.find("]", place + 2)) > 0:
            content = part[place + 1 : end].replace("\\", "\\\\")
            pattern += f"({capture}[{'^' + content[1:] if content.startswith('!') else content}])"
            place = end + 1
        else:
            pattern += {"*": f"({capture}[^/]*)", "?": f"({capture}[^/])"}.get(part[place], re.escape(part[place]))
            place += 1
    return pattern


def _walk(folder: Path, depth: int | None) -> Iterator[tuple[str, str]]:
    """Yield path and path below `folder` of its image files; links are followed, but never in a circle."""
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(folder), "", frozenset())]
    ways = Counter[tuple[int, int]]()
    while waiting:
        place, inner, above = waiting.pop()
        try:
            status = Path(place).stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                continue
            ways[identity] += 1
            if ways[identity] > _MOST_WAYS:
                raise DataError(f"links below {folder} lead to {place} in more than {_MOST_WAYS} ways; remove links")
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        if depth is None or inner.count("/") < depth:
                            waiting.append((entry.path, f"{inner}{entry.name}/", above | {identity}))
                    elif file_suffix(entry.name).lower() in IMAGE_SUFFIXES:
                        yield entry.path, inner + entry.name
        except OSError as error:
            raise DataError(f"{place} cannot be read: {error.strerror or error}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder, or a link to one; not a link to itself, which no system call follows."""
    try:
        return entry.is_dir()
    except OSError:
        return False

"""Input arguments of a command line: files, folders, globs, cameras, streams, standard input."""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from glob import escape, glob, has_magic
from pathlib import Path
from urllib.parse import unquote

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.media import DRAWINGS, RAW_PHOTOS, Kind, is_apple_double, media_type, takes_first_image_only
from hyperseg_runtime.model_kinds import not_an_input
from hyperseg_runtime.output_files import is_folder, reason
from hyperseg_runtime.run_record import RECORD_NAME
from hyperseg_runtime.video.location import url_stem

MARK = ".segmented"
"""Ends the stem of results that lie beside their input."""
RESULTS = "segmented"
"""The results' folder within an input folder that is not called by its name."""
STANDARD_INPUT = "-"

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
_SHOWN = 3
_DEVICE_FOLDERS = ("/dev", "/proc")


@dataclass(frozen=True)
class Input:
    """An image, video, stream or camera."""

    kind: Kind
    text: str
    """File, URL, camera index, or "-"."""
    folder: Path | None = None
    """The input folder it was found in."""
    name: str | None = None
    """Stem of file names about it, instead of the usual one."""

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return Path(self.text) if self.kind in (Kind.IMAGE, Kind.VIDEO) else None

    @property
    def stem(self) -> str:
        """The stem of file names about it."""
        if self.name is not None:
            return self.name
        if self.kind is Kind.CAMERA:
            return f"camera-{self.text}"
        if self.kind is Kind.STREAM:
            return "stream"
        return "stdin" if self.text == STANDARD_INPUT else Path(self.text).stem

    @property
    def place(self) -> Path | None:
        """The folder beside which results go; None: the working folder."""
        if self.kind in (Kind.CAMERA, Kind.STREAM) or self.text == STANDARD_INPUT:
            return None
        parent = Path(self.text).parent
        return None if parent.absolute().as_posix().startswith(_DEVICE_FOLDERS) else parent


@dataclass
class Found:
    """The inputs that the arguments name, and what there is to say about them."""

    inputs: list[Input] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """One line each; nothing failed."""


def find_inputs(texts: Sequence[str], outputs: Sequence[Path] = ()) -> Found:
    """Resolves arguments. Raises InputError.

    outputs: folders that the run writes to; `**` does not lead into them.
    """
    found = Found()
    texts = _without_results(texts, found)
    for text in texts:
        found.inputs += _expand(text, found, outputs)
    found.inputs = with_stream_names(found.inputs)
    first_only = [item.text for item in found.inputs if item.kind is Kind.IMAGE and _first_only(Path(item.text))]
    if first_only:
        found.notes.append(f"only the first image is taken of {_listed(first_only, 'animation')}")
    return found


def with_stream_names(inputs: Sequence[Input]) -> list[Input]:
    """Names several streams after their URLs, each by a name of its own; a single one is called `stream`."""
    streams = [item for item in inputs if item.kind is Kind.STREAM]
    if len(streams) < 2:
        return list(inputs)
    taken = {item.stem.casefold() for item in inputs if item.kind is not Kind.STREAM}
    named = []
    for item in inputs:
        if item.kind is Kind.STREAM:
            base = name = url_stem(item.text)
            number = 1
            while name.casefold() in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name.casefold())
            item = replace(item, name=name)  # noqa: PLW2901
        named.append(item)
    return named


def results_folder(folder: Path) -> Path:
    """The default folder of an input folder's results: FOLDER.segmented, and for `.`, `..` and roots `segmented` in it.

    A mount point's neighbour is on another disk, therefore its results go within it too.
    """
    if folder.name in ("", "..") or os.path.ismount(folder):
        return folder / RESULTS
    return folder.with_name(folder.name + MARK)


def _without_results(texts: Sequence[str], found: Found) -> Sequence[str]:
    """Leaves out results of other arguments, which a shell's `*` names too."""
    paths = [Path(os.path.normpath(text)) for text in texts]
    names = {*paths, *(path.with_suffix("") for path in paths if path.name)}
    results = [
        text
        for text, path in zip(texts, paths, strict=True)
        if any(
            name.endswith(MARK) and name != MARK and path.with_name(name.removesuffix(MARK)) in names
            for name in (path.name, path.stem)
        )
    ]
    if results:
        found.notes.append(f"{_listed(results, 'result')} of an earlier run left out")
    left_out = set(results)
    return [text for text in texts if text not in left_out]


def _expand(text: str, found: Found, outputs: Sequence[Path]) -> list[Input]:
    if text.lower().startswith("file://"):
        text = _path_of_url(text)
    status = _status(text)
    if status is None:
        return _not_a_file(text, outputs)
    if stat.S_ISDIR(status.st_mode):
        return _folder(Path(text), found)
    if stat.S_ISREG(status.st_mode):
        return [Input(_kind(text), _file_argument(text))]
    if stat.S_ISFIFO(status.st_mode):
        return [Input(Kind.PIPE, _file_argument(text))]
    camera = re.fullmatch(r"/dev/video([0-9]{1,2})", os.path.realpath(text))
    if camera is not None:
        return [Input(Kind.CAMERA, camera[1])]
    raise InputError(f"{text} is a device or a socket; name an image, a video, a folder or a camera's number")


def _path_of_url(url: str) -> str:
    """The path of a `file:` URL (RFC 8089), as file managers and browsers give it."""
    return unquote(re.sub("^(localhost)?(?=/)", "", url[len("file://") :]), errors="surrogateescape")


def _not_a_file(text: str, outputs: Sequence[Path]) -> list[Input]:
    if text == STANDARD_INPUT:
        if sys.stdin is not None and sys.stdin.isatty():
            raise InputError("- is standard input, which is a terminal here; pipe a video into it")
        return [Input(Kind.PIPE, text)]
    if "://" in text:
        return [Input(Kind.STREAM, text)]
    if re.fullmatch("[0-9]{1,2}", text, re.ASCII):
        return [Input(Kind.CAMERA, text)]
    if has_magic(text):
        return _glob(text, outputs if "**" in text else ())
    if text and os.path.lexists(text):
        raise InputError(f"{text} is a link to something that does not exist")
    raise InputError(f"{text if text.strip() else repr(text)} does not exist; {_proposal(text)}")


def _proposal(text: str) -> str:
    """What to name instead of a missing file: a file beside where it would be, if one has a similar name."""
    path = Path(text)
    try:
        names = sorted(file.name for file in path.parent.iterdir() if file.name[0] != ".") if path.name else []
    except (OSError, ValueError):  # ValueError: a NUL in the name
        names = []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    if close:
        return f"did you mean {path.with_name(close[0])}?"
    return "name an image, a video or a folder (the result is named with -o)"


def _status(text: str) -> os.stat_result | None:
    """None where there is no such file. `-` is standard input; write ./- for a file of this name."""
    if text == STANDARD_INPUT:
        return None
    try:
        return Path(text).stat() if text else None
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        return None
    except OSError as error:
        if "://" in text or has_magic(text):
            return None
        raise InputError(f"cannot read {text}: {reason(error)}") from error


def _kind(text: str) -> Kind:
    path = Path(text)
    problem = not_an_input(path)
    if problem is not None:
        raise InputError(problem)
    if path.suffix.lower() in RAW_PHOTOS:
        raise InputError(f"{text} is a raw photo; develop it to JPEG, PNG or TIFF first")
    if path.suffix.lower() in DRAWINGS and media_type(path) is None:
        raise InputError(f"{text} is a document or a drawing; convert it to PNG first")
    if _apple_double(path):
        raise InputError(f"{text} is macOS's companion of {path.with_name(path.name[2:])}; name that file")
    media = media_type(path)
    return Kind.VIDEO if media is None else media.kind  # FFmpeg knows more formats than our table


def _file_argument(text: str) -> str:
    """A file name that is neither `-` nor a URL to whoever opens it."""
    return str(Path(text).absolute()) if "://" in text or os.path.normpath(text) == STANDARD_INPUT else text


def _folder(folder: Path, found: Found) -> list[Input]:
    try:
        files = sorted(Path(entry.path) for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {reason(error)}") from error
    taken, skipped = [], []
    for file in files:
        if file.is_dir() or file.stem.endswith(MARK) or file.name.lower() in _SYSTEM_FILES:
            continue
        media = media_type(file) if file.is_file() else None
        if media is None:
            skipped.append(file.name)
        else:
            taken.append(Input(media.kind, _file_argument(str(folder / file.name)), folder))
    if skipped:
        found.notes.append(f"{_listed(skipped, 'file')} in {folder} skipped, neither image nor video")
    if not taken:
        raise InputError(
            f"the folder {folder} has no image and no video in it (folders within it are not searched; "
            f"name them, or use '{folder / '*' / '*.jpg'}')"
        )
    return taken


def _glob(text: str, outputs: Sequence[Path]) -> list[Input]:
    base = _literal_folder(text)
    pattern = str(Path(escape(str(base)), *Path(text).parts[len(base.parts) :]))
    files = (Path(name) for name in sorted(glob(pattern, recursive=True)))  # noqa: PTH207  # Path.glob: no absolute ones
    taken = []
    for file in _no_results(files, base, outputs):
        media = media_type(file) if file.is_file() and not _apple_double(file) else None
        if media is not None:
            taken.append(Input(media.kind, _file_argument(str(file))))
    if not taken:
        raise InputError(f"no image and no video matches {text}")
    return taken


def _literal_folder(pattern: str) -> Path:
    """The leading folders of a pattern that exist under this very name, such as `clips [2024]`."""
    parts = Path(pattern).parts
    candidates = (Path(*parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((folder for folder in candidates if is_folder(folder)), Path())


def _no_results(files: Iterable[Path], base: Path, outputs: Sequence[Path]) -> Iterator[Path]:
    """Leaves out results of earlier runs in folders below `base`, and everything in `outputs`.

    A folder that links name again, perhaps in a loop, is searched once.
    """
    folders: dict[Path, bool] = {base: False}
    seen = {Path(os.path.realpath(base))}
    roots = {Path(os.path.realpath(folder)) for folder in outputs}
    for file in files:
        folder = file.parent
        if folder not in folders:
            real = Path(os.path.realpath(folder))
            folders[folder] = (
                any(part.endswith(MARK) for part in folder.parts[len(base.parts) :])
                or (folder / RECORD_NAME).exists()
                or not roots.isdisjoint((real, *real.parents))
                or real in seen
            )
            seen.add(real)
        if not folders[folder] and not file.stem.endswith(MARK):
            yield file


def _apple_double(path: Path) -> bool:
    try:
        return is_apple_double(path)
    except OSError:
        return False


def _first_only(path: Path) -> bool:
    try:
        return takes_first_image_only(path)
    except OSError:
        return False


def _listed(names: Sequence[str], what: str) -> str:
    """ "1 file (a)", "5 files (a, b, c, ...)"."""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({shown})"

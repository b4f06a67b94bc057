"""Input arguments of a command line, resolved to tasks: inputs, and the target of each result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from glob import glob, has_magic
from pathlib import Path

from hyperseg_runtime.errors import InputError, OutputError
from hyperseg_runtime.output_files import check_target, make_folder
from hyperseg_runtime.video.formats import FORMATS

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv"}
)
_MARK = ".segmented"


class Kind(Enum):
    """The kinds of input."""

    IMAGE = "image"
    VIDEO = "video"
    STREAM = "stream"
    CAMERA = "camera"


@dataclass(frozen=True)
class VideoTask:
    """A run from one video, stream or camera to one video."""

    kind: Kind
    source: str
    """File, URL, or camera index."""
    target: Path

    @property
    def names(self) -> list[str]:
        """The stem of file names about its frames."""
        return [Path(self.source).stem]

    @property
    def targets(self) -> list[Path]:
        return [self.target]


@dataclass(frozen=True)
class ImageTask:
    """A run from image files to image files."""

    target_of: dict[Path, Path]
    """From each image to its result."""

    @property
    def source(self) -> str:
        """The first image."""
        return str(next(iter(self.target_of)))

    @property
    def names(self) -> list[str]:
        """The stem of file names about each image."""
        return [path.stem for path in self.target_of]

    @property
    def targets(self) -> list[Path]:
        return list(self.target_of.values())


Task = ImageTask | VideoTask


@dataclass(frozen=True)
class _Input:
    kind: Kind
    text: str
    folder: Path | None
    """The input folder, if the input is one: results then go into a folder next to it."""


def plan(inputs: Sequence[str], output: Path | None, force: bool) -> list[Task]:
    """The tasks for these inputs. Raises InputError or OutputError before anything is read or written.

    Without `output` every result is written to its input's folder, as NAME.segmented.SUFFIX; those of a folder go to
    FOLDER.segmented. `output` is a file for a single input, else a folder.
    """
    found = [item for text in inputs for item in _expand(text)]
    many = len(found) > 1 or any(item.folder is not None for item in found)
    if output is not None and many:
        make_folder(output)
    targets = [_target(item, output, many) for item in found]
    for target in targets:
        if targets.count(target) > 1:
            raise OutputError(f"two inputs would both be written to {target}; run them one by one with -o")
    sources = tuple(Path(item.text) for item in found if item.kind in (Kind.IMAGE, Kind.VIDEO))
    for item, target in zip(found, targets, strict=True):
        _check_suffix(item.kind, target)
        check_target(target, force, sources)
    pairs = list(zip(found, targets, strict=True))
    images = {Path(item.text): target for item, target in pairs if item.kind is Kind.IMAGE}
    videos = [VideoTask(item.kind, item.text, target) for item, target in pairs if item.kind is not Kind.IMAGE]
    return [ImageTask(images), *videos] if images else [*videos]


def _expand(text: str) -> list[_Input]:
    path = Path(text)
    if "://" in text:
        return [_Input(Kind.STREAM, text, None)]
    if re.fullmatch("[0-9]{1,2}", text) and not path.exists():
        return [_Input(Kind.CAMERA, text, None)]
    if path.is_dir():
        found = [_Input(_kind(file), str(file), path) for file in sorted(path.iterdir()) if _is_media(file)]
        if not found:
            raise InputError(f"the folder {path} has no image and no video in it")
        return found
    if not path.exists() and has_magic(text):
        names = sorted(glob(text, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute patterns
        found = [_Input(_kind(Path(name)), name, None) for name in names if _is_media(Path(name))]
        if not found:
            raise InputError(f"no image and no video matches {text}")
        return found
    if not path.exists():
        raise InputError(f"{text} does not exist")
    return [_Input(_kind(path), text, None)]


def _is_media(path: Path) -> bool:
    """Images and videos, except hidden ones and results of an earlier run."""
    known = path.suffix.lower() in VIDEO_SUFFIXES.union(IMAGE_SUFFIXES)
    return known and path.is_file() and not path.name.startswith(".") and not path.stem.endswith(_MARK)


def _kind(path: Path) -> Kind:
    return Kind.IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else Kind.VIDEO


def _target(item: _Input, output: Path | None, many: bool) -> Path:
    if output is not None and not many:
        return output
    path = Path(item.text)
    if item.kind is Kind.CAMERA:
        path = Path(f"camera-{item.text}.mp4")
    elif item.kind is Kind.STREAM:
        path = Path("stream.mp4")
    suffix = path.suffix.lower() if item.kind is Kind.IMAGE else ".mp4"
    if output is not None:
        return output / f"{path.stem}{suffix}"
    if item.folder is not None:
        folder = item.folder.resolve()
        results = folder.with_name(folder.name + _MARK)
        make_folder(results)
        return results / f"{path.stem}{suffix}"
    return path.with_name(f"{path.stem}{_MARK}{suffix}")


def _check_suffix(kind: Kind, target: Path) -> None:
    known = IMAGE_SUFFIXES if kind is Kind.IMAGE else tuple(FORMATS)
    if not target.is_dir() and target.suffix.lower() not in known:
        what = "images" if kind is Kind.IMAGE else "videos"
        raise OutputError(f"{target}: {what} are written as {', '.join(sorted(known))}; choose one of these (-o FILE)")

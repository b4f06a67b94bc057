"""The model files of a folder, each with what can be told without opening it: its description, or why it is no use."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime import sidecar
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.errors import HyperSegError, ModelError
from hyperseg_runtime.metadata import KEY, Metadata
from hyperseg_runtime.model_kinds import is_engine, kind_of, remedy
from hyperseg_runtime.onnx_file import read_properties
from hyperseg_runtime.provenance import check_borrowed_weights
from hyperseg_runtime.sidecar import Sidecar


@dataclass(frozen=True)
class Candidate:
    """A model file that may be taken."""

    path: Path
    metadata: Metadata | None = None
    sidecar: Sidecar | None = None
    """Of an engine; known even where this machine cannot run it."""
    problem: str | None = None
    """Why it cannot be taken: one line that names it, with the remedy."""
    foreign: bool = False
    """An intact ONNX file of another program."""


def files_of(folder: Path) -> list[Path]:
    """What is named like a model in `folder`, by name; links, folders and pipes included, hidden files not.

    Raises ModelError if the folder cannot be read: it might hold a model.
    """
    try:
        folder.resolve()  # a working folder that was deleted would look empty
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(
            f"the folder {name_of(folder)} cannot be read ({error.strerror or error}), so its models are not known; "
            "name the file that is meant"
        ) from error
    return [path for path in found if not path.name.startswith(".") and kind_of(path) is not None]


def check_reachable(path: Path) -> None:
    """Raises ModelError where the system does not tell whether a file exists: a folder without permission, a link to
    itself, a name that it does not take. A file that does not exist is not reported."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}); name another file") from error
    except ValueError as error:  # a NUL in the name
        raise ModelError(f"{str(path)!r} cannot be the name of a file: {error}") from error


def name_of(folder: Path) -> str:
    """The folder's full path, as far as it is known."""
    try:
        return str(folder.resolve())
    except OSError:  # the working folder was deleted
        return str(folder)


def examine(path: Path, device: int = 0) -> Candidate:
    """An engine or ONNX file, by its name. Never raises: what is wrong is the candidate's problem."""
    problem = _no_file(path)
    if problem is not None:
        return Candidate(path, problem=problem)
    return _engine(path, device) if is_engine(path) else _export(path)


def _no_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            return f"{path} is a link to {path.readlink()}, which cannot be read ({error.strerror or error})"
        return f"{path} cannot be read ({error.strerror or error})"
    if stat.S_ISDIR(mode):
        return f"{path} is a folder, not a model"
    return None if stat.S_ISREG(mode) else f"{path} is not a regular file"


def _engine(path: Path, device: int) -> Candidate:
    try:
        described = sidecar.read(path)
    except HyperSegError as error:
        return Candidate(path, problem=str(error))
    problem = tensorrt.misfit(path, described.engine, tensorrt.Machine.inspect(device))
    return Candidate(path, described.metadata, described, problem)


def _export(path: Path) -> Candidate:
    try:
        properties = read_properties(path)
        metadata = Metadata.from_properties(properties, str(path))
        check_borrowed_weights(path, metadata)
    except HyperSegError as error:
        foreign = not isinstance(error, ModelError) and KEY not in properties
        return Candidate(path, problem=remedy(path) or str(error), foreign=foreign)
    return Candidate(path, metadata)

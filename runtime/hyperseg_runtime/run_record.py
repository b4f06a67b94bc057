"""The record of a folder of results, `.hyperseg-run.jsonl`: what they were made with, and which are complete.

With it hyperseg-run --resume continues a run, and never mixes the results of two models or of different options. The
first line describes the run; each further line is one complete result, appended after it has its name.
"""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.folder_lock import FolderLock
from hyperseg_runtime.output_files import write_bytes, write_error
from hyperseg_runtime.provenance import digest

RECORD_NAME = ".hyperseg-run.jsonl"
INCOMPLETE_NAME = "INCOMPLETE.hyperseg-run.txt"
"""In a folder of frames until it has all of them."""
_FORMAT = 1

Maker = Mapping[str, object]
"""What results depend on: the model's file name and SHA-256, and the options by name."""


def maker(model: Path, options: Mapping[str, object]) -> Maker:
    """Describes the model and the options of a run. Raises ModelError."""
    described = {"model": model.name, "sha256": digest(model), "options": dict(options)}
    made: dict[str, object] = json.loads(json.dumps(described, default=str))
    return made


class RunRecord:
    """The record of one folder; empty where there is none."""

    def __init__(self, folder: Path) -> None:
        self._path, self._lock = folder / RECORD_NAME, FolderLock(folder)
        self._maker: Maker | None = None
        self._started = 0
        self._forced = False
        self._complete: dict[str, Mapping[str, object]] = {}
        self._unreadable = False
        self._read()

    @property
    def folder(self) -> Path:
        return self._path.parent

    @property
    def exists(self) -> bool:
        return self._maker is not None

    def _read(self) -> None:
        try:
            if not self._path.is_file():  # a pipe would be waited for
                return
            self._unreadable = self._path.stat().st_size > 0  # empty: that run was killed at its beginning
            lines = self._path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            return
        entries = [entry for line in lines if isinstance(entry := _decoded(line), dict)]
        head = entries[0] if entries else {}
        started, made_with = head.get("started_ns"), head.get("made_with")
        if head.get("format") != _FORMAT or not isinstance(started, int) or not isinstance(made_with, dict):
            return
        self._unreadable = False
        self._started, self._maker = started, made_with
        self._forced = any("forced" in entry for entry in entries)
        self._complete = {str(entry["result"]): entry for entry in entries if "result" in entry}

    def is_complete(self, target: Path, source: Path) -> bool:
        """Whether `target` is a complete result of `source` as this file is now."""
        entry = self._complete.get(target.name)
        now = _entry(target, source)
        return entry is not None and now is not None and entry == {**now, "frames": entry.get("frames")}

    def frames_of(self, target: Path) -> object:
        """The number of frames of a complete result of a video."""
        return self._complete.get(target.name, {}).get("frames")

    def made(self, path: Path) -> bool:
        """Whether the run of this record wrote an existing file, or was allowed to replace it (--force)."""
        try:
            status = path.lstat()  # a run writes no links, only through them
            is_ours = not stat.S_ISLNK(status.st_mode) and status.st_mtime_ns >= self._started
            return self.exists and (self._forced or is_ours)
        except OSError:
            return False

    def check_readable(self) -> None:
        """Raises OutputError where there is a record that says nothing."""
        if self._unreadable:
            raise OutputError(
                f"{self._path} is damaged, or of another version of hyperseg-run, so --resume cannot tell which "
                "results are complete; name another folder with -o, or replace the results with --force"
            )

    def check(self, wanted: Maker) -> None:
        """Raises OutputError where the results were made with another model or other options."""
        if self._maker is None or self._maker == wanted:
            return
        remedy = "name another folder with -o, or replace the results with --force"
        if self._maker.get("sha256") != wanted["sha256"]:
            raise OutputError(
                f"{self.folder} has results of another model ({self._maker.get('model')}), which --resume does not mix "
                f"with those of {wanted['model']}; {remedy}"
            )
        before, now = _options(self._maker), _options(wanted)
        different = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if different:
            shown = ", ".join(
                f"{name}: {_value(before.get(name))} there, {_value(now.get(name))} now" for name in different
            )
            raise OutputError(f"{self.folder} has results of other options ({shown}); repeat those, {remedy}")

    def begin(self, wanted: Maker, force: bool) -> None:
        """Starts the record of a run; continues it where model and options are the same. Raises OutputError.

        force: the run may replace files that were there before. Until `end`, no run with another model or other options
        can begin here.
        """
        if not self._lock.alone():
            self._lock.share()
            self._read()
            if self._maker is None or not _same(self._maker, wanted):
                raise OutputError(
                    f"another hyperseg-run is writing to {self.folder}, with another model or other options; wait for "
                    "its end, or name another folder with -o"
                )
        try:
            self._begin(wanted, force)
        finally:
            self._lock.share()

    def end(self) -> None:
        """Lets other runs begin in the folder."""
        self._lock.release()

    def _begin(self, wanted: Maker, force: bool) -> None:
        try:
            if self._maker is not None and _same(self._maker, wanted):
                if not self._path.read_bytes().endswith(b"\n"):  # cut off in its last line
                    self._append("")
                if force and not self._forced:
                    self._append(json.dumps({"forced": True}))
                return
            write_bytes(self._path, b"", sync=False)
            self._started = self._path.stat().st_mtime_ns  # by the clock that also times the results
            self._maker, self._complete = wanted, {}
            head = {"format": _FORMAT, "started_ns": self._started, "made_with": wanted}
            line = json.dumps({**head, "forced": True} if force else head) + "\n"
            write_bytes(self._path, line.encode("ascii"), sync=False)  # whole or not at all, even when killed
        except OSError as error:
            raise write_error(self._path, error) from error

    def add(self, target: Path, source: Path, frames: int | None = None) -> None:
        """Appends a complete result, with the number of its frames if it is a video's. Raises OutputError."""
        entry = _entry(target, source)
        if entry is None:
            return
        entry["frames"] = frames
        self._complete[target.name] = entry
        try:
            self._append(json.dumps(entry))
        except OSError as error:
            raise write_error(self._path, error) from error

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def discard_if_alone(self) -> None:
        """Deletes the record where the folder has nothing else."""
        with contextlib.suppress(OSError):  # somebody deleted the folder
            if [path.name for path in self.folder.iterdir()] == [RECORD_NAME]:
                self._path.unlink()


def _entry(target: Path, source: Path) -> dict[str, object] | None:
    """None where one of them is missing, or a folder of frames is incomplete."""
    try:
        result, origin = target.stat(), source.stat()
        if target.is_dir() and (target / INCOMPLETE_NAME).exists():
            return None
    except OSError:
        return None
    return {
        "result": target.name,
        "bytes": None if target.is_dir() else result.st_size,
        "source": source.name,
        "source_bytes": origin.st_size,
        "source_time_ns": origin.st_mtime_ns,
    }


def _options(made_with: Maker) -> Mapping[str, object]:
    options = made_with.get("options")
    return options if isinstance(options, dict) else {}


def _value(value: object) -> str:
    """An option's value as a user writes it."""
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)


def _same(one: Maker, other: Maker) -> bool:
    return one.get("sha256") == other["sha256"] and _options(one) == _options(other)


def _decoded(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None

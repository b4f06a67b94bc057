"""Sinks of runs with many files: a folder of frames, and the record of complete images."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hyperseg_runtime.names import shown
from hyperseg_runtime.output.sinks import Result, Sink, write_image
from hyperseg_runtime.output_files import write_bytes, write_error
from hyperseg_runtime.planned_outputs import numbered_files, numbered_name
from hyperseg_runtime.planning import ImageTask
from hyperseg_runtime.run_record import INCOMPLETE_NAME


class FrameFolderSink(Sink):
    """A folder of images of a video's frames, STEM_000000.SUFFIX, by their numbers in the video.

    A file says that the folder is incomplete until it has all frames, also after a crash. Frames that an earlier run
    left there are deleted at the end.
    """

    def __init__(self, folder: Path, stem: str, suffix: str, source: str, replace: bool = True) -> None:
        """replace: whether to replace files that were created meanwhile."""
        self._replace = replace
        self._folder, self._stem, self._suffix, self._source = folder, stem, suffix, source
        self._mark = folder / INCOMPLETE_NAME
        self._older: set[str] = set()
        self._count = 0

    def write(self, result: Result) -> None:
        if self._count == 0:
            self._older = set(numbered_files(self._folder, self._stem, self._suffix))
            self._explain("These are not all frames yet")
        name = numbered_name(self._stem, result.frame.index, self._suffix)
        write_image(self._folder / name, result.rendered, self._replace)
        self._older.discard(name)
        self._count += 1

    def _explain(self, state: str) -> None:
        text = f"{state} of {shown(self._source)}. To make all of them, run hyperseg-run again with --force.\n"
        write_bytes(self._mark, text.encode(), sync=False)

    def close(self, interrupted: bool = False) -> None:
        if self._count == 0:
            return
        if interrupted:
            self._explain(f"Interrupted: these are the first {self._count} frames")
            return
        try:
            for name in self._older:
                (self._folder / name).unlink()
            self._mark.unlink()
        except OSError as error:
            raise write_error(self._mark, error) from error

    def abort(self) -> None:
        """Keeps the frames and the mark."""
        if self._count == 0:
            with contextlib.suppress(OSError):
                self._mark.unlink(missing_ok=True)


class RecordSink(Sink):
    """Enters images into the record of their folder, once the sinks before it have written their outputs."""

    def __init__(self, task: ImageTask) -> None:
        self._task = task

    def write(self, result: Result) -> None:
        source = result.frame.path
        record = None if source is None else self._task.records.get(source)
        if source is not None and record is not None:
            record.add(self._task.target_of[source], source)

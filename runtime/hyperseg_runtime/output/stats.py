"""Statistics of a run: the share of each class in every frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.names import as_unicode
from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Labels
from hyperseg_runtime.video.sources import SourceFrame

STATS_SUFFIXES = (".jsonl", ".json", ".csv")
_COLUMNS = ("source", "frame", "seconds")


class StatsFile:
    """Class shares of every frame, as JSON lines or CSV; the file gets its name on `close`."""

    def __init__(self, path: Path, class_names: tuple[str, ...], force: bool = True) -> None:
        """force: whether to replace a file that was created meanwhile. Raises OutputError, as all methods do."""
        self._path, self._draft, self._force = path, Draft(path), force
        self._csv = path.suffix.lower() == ".csv"
        self._names = _distinguished(class_names, _COLUMNS if self._csv else ())
        try:
            # CSV has names that are not valid UTF-8 as they are; JSON cannot.
            self._file: TextIO = self._draft.path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise write_error(path, error) from error
        if self._csv:
            self._write_row([*_COLUMNS, *self._names])

    def write(self, source: str, frame: SourceFrame, labels: Labels) -> None:
        shares = [round(float(share), 6) for share in class_shares(labels, len(self._names))]
        seconds = round(float(frame.time), 6)
        if self._csv:
            self._write_row([source, frame.index, seconds, *shares])
            return
        named = dict(zip(self._names, shares, strict=True))
        self._write(
            json.dumps({"source": as_unicode(source), "frame": frame.index, "seconds": seconds, "shares": named}) + "\n"
        )

    def _write_row(self, row: list[object] | list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        self._write(line.getvalue())

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise write_error(self._path, error) from error

    def close(self) -> None:
        try:
            self._file.close()
            self._draft.publish(replace=self._force)
        except OSError as error:
            self._draft.discard()
            raise write_error(self._path, error) from error


def class_shares(labels: Labels, count: int) -> NDArray[np.float64]:
    """Share of the pixels with each of `count` labels: float64 [count]; the rest, if any, has labels of no class."""
    histogram = cv2.calcHist([labels], [0], None, [count], [0, count])
    return np.asarray(histogram, np.float64).reshape(-1) / labels.size


def _distinguished(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The names, with the label behind those that several classes or other columns have.

    Readers of CSV and JSON keep only the last value of a name.
    """
    taken = {*others, *(name for name in names if names.count(name) > 1)}
    found: list[str] = []
    for label, name in enumerate(names):
        column = name
        while column in taken or column in found:
            column = f"{column} ({label})"
        found.append(column)
    return tuple(found)

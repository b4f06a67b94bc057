"""Class shares of every frame, as JSON lines or CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Labels
from hyperseg_runtime.video.frames import SourceFrame

SUFFIXES = (".jsonl", ".json", ".csv")


def class_shares(labels: Labels, count: int) -> NDArray[np.float64]:
    """Share of the pixels with each of `count` labels: float64 [count], summing to 1."""
    histogram = cv2.calcHist([labels], [0], None, [count], [0, count])
    return np.asarray(histogram, np.float64).reshape(-1) / labels.size


class StatsFile:
    """Appends one line for each frame; the file gets its name on `close`."""

    def __init__(self, path: Path, class_names: tuple[str, ...]) -> None:
        self._path, self._draft, self._names = path, Draft(path), class_names
        try:
            self._file: TextIO = self._draft.path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise write_error(path, error) from error
        if path.suffix == ".csv":
            self._write_row(["source", "frame", "seconds", *class_names])

    def write(self, source: str, frame: SourceFrame, labels: Labels) -> None:
        shares = [round(float(share), 6) for share in class_shares(labels, len(self._names))]
        seconds = round(float(frame.time), 6)
        if self._path.suffix == ".csv":
            self._write_row([source, frame.index, seconds, *shares])
            return
        named = dict(zip(self._names, shares, strict=True))
        self._write(json.dumps({"source": source, "frame": frame.index, "seconds": seconds, "shares": named}) + "\n")

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
            self._draft.publish()
        except OSError as error:
            self._draft.discard()
            raise write_error(self._path, error) from error

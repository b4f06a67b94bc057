"""Output sinks of a run: a video, images, label maps, class statistics, a window."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.inputs import IMAGE_SUFFIXES
from hyperseg_runtime.output_files import Draft, write_bytes, write_error
from hyperseg_runtime.preprocess import Frame, Labels
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection, SourceFrame, VideoSource
from hyperseg_runtime.video.writer import VideoWriter

STATS_SUFFIXES = (".jsonl", ".json", ".csv")


@dataclass(frozen=True)
class Result:
    """A frame with its labels and its rendering."""

    frame: SourceFrame
    labels: Labels
    """At the frame's size."""
    rendered: Frame


class Sink:
    """Takes the frames of a run one by one, then is closed, or aborted after an error."""

    notes: Sequence[str] = ()
    """What the output does not have although it is complete otherwise, one line each; known after `close`."""

    def write(self, result: Result) -> None:
        """Raises OutputError, or WindowClosedError to end the run."""
        raise NotImplementedError

    def close(self, interrupted: bool = False) -> None:
        """Completes the output. Raises OutputError. `interrupted`: the run ended before its source did."""

    def abort(self) -> None:
        """Discards an incomplete output. Never raises."""


class VideoSink(Sink):
    """A video of all frames; created with the first frame, whose size it takes."""

    def __init__(self, path: Path, source: VideoSource, sound: SoundTrack | None, selection: Selection) -> None:
        """sound: what to carry over, cut to `selection`."""
        self._path, self._source = path, source
        self._sound, self._selection = sound, selection
        self._writer: VideoWriter | None = None
        self._end = Fraction(0)

    def write(self, result: Result) -> None:
        frame = result.frame
        if self._writer is None:
            size = result.rendered.shape[0], result.rendered.shape[1]
            self._writer = VideoWriter(
                self._path,
                size,
                self._source.rate,
                self._source.time_base,
                pixel_aspect=frame.pixel_aspect,
                sound=self._sound,
                selection=self._selection,
            )
        self._end = frame.time + (frame.duration or 0)
        self._writer.write(result.rendered, frame.time, frame.duration, frame.pixel_aspect)

    def close(self, interrupted: bool = False) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            cut_off = interrupted or self._selection.max_frames is not None
            writer.close(self._end if cut_off else None)
            self.notes = writer.notes

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()


class ImageSink(Sink):
    """An image file for each frame."""

    def __init__(self, targets: dict[Path, Path]) -> None:
        """targets: from an input image's path to that of its result."""
        self._targets = targets

    def write(self, result: Result) -> None:
        assert result.frame.path is not None
        write_image(self._targets[result.frame.path], result.rendered)


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes uint8 [h, w, 3] BGR or [h, w] in the format of the suffix, atomically. Raises OutputError."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise OutputError(f"{path}: images are written as {', '.join(IMAGE_SUFFIXES)}; choose one of these (-o FILE)")
    try:
        done, content = cv2.imencode(path.suffix.lower(), image)
    except cv2.error as error:
        raise OutputError(f"{path}: OpenCV cannot write this image as {path.suffix} ({error.err})") from error
    if not done:
        raise OutputError(f"{path}: OpenCV cannot write this image as {path.suffix}; choose .png")
    write_bytes(path, content.tobytes(), sync=False)


class LabelSink(Sink):
    """A PNG of class indices for each frame: FOLDER/NAME.png, 8 bits, grey."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, result: Result) -> None:
        content = cv2.imencode(".png", result.labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        write_bytes(self._folder / f"{result.frame.name}.png", content.tobytes(), sync=False)


class StatsFile:
    """Class shares of every frame, as JSON lines or CSV; the file gets its name on `close`."""

    def __init__(self, path: Path, class_names: tuple[str, ...]) -> None:
        """Raises OutputError, as all methods do."""
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


def class_shares(labels: Labels, count: int) -> NDArray[np.float64]:
    """Share of the pixels with each of `count` labels: float64 [count], summing to 1."""
    histogram = cv2.calcHist([labels], [0], None, [count], [0, count])
    return np.asarray(histogram, np.float64).reshape(-1) / labels.size


class StatsSink(Sink):
    """Class shares of one source, into a file that several sources may share; its owner closes the file."""

    def __init__(self, file: StatsFile, source: str) -> None:
        self._file, self._source = file, source

    def write(self, result: Result) -> None:
        self._file.write(str(result.frame.path or self._source), result.frame, result.labels)


class WindowClosedError(Exception):
    """The user closed the window, or pressed q or Escape in it."""


class WindowSink(Sink):
    """A window with the current frame rate."""

    _TITLE = "HyperSeg"

    def __init__(self) -> None:
        """Raises OutputError where no window can be opened."""
        if "GUI:                           NONE" in cv2.getBuildInformation():
            raise OutputError(
                "--show needs windows, which opencv-python-headless does not have; "
                "pip uninstall opencv-python-headless, pip install opencv-python"
            )
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise OutputError("--show needs a display (DISPLAY is not set); omit --show")
        self._before = time.perf_counter()
        self._rate = 0.0

    def write(self, result: Result) -> None:
        now = time.perf_counter()
        current = 1.0 / max(now - self._before, 1e-6)
        self._before, self._rate = now, current if self._rate == 0 else 0.9 * self._rate + 0.1 * current
        shown = result.rendered.copy()
        place, font = (10, 30), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(shown, f"{self._rate:.1f} frames/s", place, font, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.imshow(self._TITLE, shown)
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27) or cv2.getWindowProperty(self._TITLE, cv2.WND_PROP_VISIBLE) < 1:
            raise WindowClosedError

    def close(self, interrupted: bool = False) -> None:
        del interrupted
        cv2.destroyAllWindows()

    def abort(self) -> None:
        self.close()

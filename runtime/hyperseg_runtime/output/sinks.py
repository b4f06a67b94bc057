"""Where a run's results go. A sink takes frames one by one and is closed, or aborted after an error."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.output.pictures import write_picture
from hyperseg_runtime.output.stats import StatsFile
from hyperseg_runtime.output_files import write_bytes
from hyperseg_runtime.preprocess import Frame, Labels
from hyperseg_runtime.video.camera import Camera
from hyperseg_runtime.video.frames import Selection, SourceFrame
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.writer import VideoWriter


@dataclass(frozen=True)
class Result:
    """All that is known about one frame."""

    frame: SourceFrame
    labels: Labels
    """At the frame's size."""
    picture: Frame
    """The rendered frame."""


class Sink(Protocol):
    """`write` and `close` raise OutputError; `abort` never does."""

    def write(self, result: Result) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class VideoSink:
    """One video of all frames; begun with the first frame, whose size it takes."""

    def __init__(self, path: Path, source: VideoReader | Camera, sound_from: str | None, selection: Selection) -> None:
        self._path, self._source = path, source
        self._sound_from, self._selection = sound_from, selection
        self._writer: VideoWriter | None = None
        self._last = Fraction(0)
        self.interrupted = False
        """Set where the run ended before the source did: the sound then ends with the pictures."""

    def write(self, result: Result) -> None:
        if self._writer is None:
            size = result.picture.shape[0], result.picture.shape[1]
            source = self._source
            self._writer = VideoWriter(
                self._path, size, source.rate, source.time_base, sound_from=self._sound_from, selection=self._selection
            )
        self._last = result.frame.time
        self._writer.write(result.picture, result.frame.time)

    def close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            limited = self.interrupted or self._selection.max_frames is not None
            writer.close(self._last if limited else None)

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()


class PictureSink:
    """One picture for each frame."""

    def __init__(self, targets: dict[Path, Path]) -> None:
        """targets: from a picture's path to that of its result."""
        self._targets = targets

    def write(self, result: Result) -> None:
        assert result.frame.path is not None
        write_picture(self._targets[result.frame.path], result.picture)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class LabelSink:
    """One PNG of class indices for each frame: FOLDER/NAME.png, 8 bits, grey."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, result: Result) -> None:
        content = cv2.imencode(".png", result.labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        write_bytes(self._folder / f"{result.frame.name}.png", content.tobytes(), sync=False)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class StatsSink:
    """Class shares into a file that several sources may share; whoever opened it closes it."""

    def __init__(self, file: StatsFile, source: str) -> None:
        self._file, self._source = file, source

    def write(self, result: Result) -> None:
        self._file.write(str(result.frame.path or self._source), result.frame, result.labels)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class WindowClosedError(Exception):
    """The user closed the window, or pressed q or Escape in it."""


class WindowSink:
    """A window with the live frame rate. Raises WindowClosedError from `write` when the user is done."""

    _TITLE = "HyperSeg"

    def __init__(self) -> None:
        if "GUI:                           NONE" in cv2.getBuildInformation():
            raise OutputError(
                "--show needs windows, which opencv-python-headless has not; "
                "pip uninstall opencv-python-headless, pip install opencv-python"
            )
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise OutputError("--show needs a display, and there is none here (DISPLAY is not set); leave --show out")
        self._before = time.perf_counter()
        self._rate = 0.0

    def write(self, result: Result) -> None:
        now = time.perf_counter()
        current = 1.0 / max(now - self._before, 1e-6)
        self._before, self._rate = now, current if self._rate == 0 else 0.9 * self._rate + 0.1 * current
        picture = result.picture.copy()
        place, font = (10, 30), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(picture, f"{self._rate:.1f} frames/s", place, font, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.imshow(self._TITLE, picture)
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27) or cv2.getWindowProperty(self._TITLE, cv2.WND_PROP_VISIBLE) < 1:
            raise WindowClosedError

    def close(self) -> None:
        cv2.destroyAllWindows()

    def abort(self) -> None:
        self.close()

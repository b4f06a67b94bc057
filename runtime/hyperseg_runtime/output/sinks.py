"""Output sinks of a run: a video, images, label maps, class statistics, a window."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.media import IMAGE_SUFFIXES
from hyperseg_runtime.output import label_png
from hyperseg_runtime.output.coco import CocoFile
from hyperseg_runtime.output.stats import StatsFile
from hyperseg_runtime.output.windows import missing_for_windows
from hyperseg_runtime.output_files import check_target, write_bytes
from hyperseg_runtime.preprocess import Frame, Labels
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import FrameTiming, Selection, SourceFrame
from hyperseg_runtime.video.writer import VideoWriter


@dataclass(frozen=True)
class Result:
    """A frame with its labels and its rendering."""

    frame: SourceFrame
    labels: Labels
    """At the frame's size."""
    rendered: Frame


class SkippedFrameError(Exception):
    """A frame that cannot be written, while others can."""


class Sink:
    """Takes the frames of a run one by one, then is closed, or aborted after an error."""

    notes: Sequence[str] = ()
    """What the output does not have although it is complete otherwise, one line each; known after `close`."""

    def write(self, result: Result) -> None:
        """Raises OutputError, SkippedFrameError, or WindowClosedError to end the run."""
        raise NotImplementedError

    def close(self, interrupted: bool = False) -> None:
        """Completes the output. Raises OutputError. `interrupted`: the run ended before its source did."""

    def abort(self) -> None:
        """Discards an incomplete output. Never raises."""


class VideoSink(Sink):
    """A video of all frames; created with the first frame, whose size it takes."""

    def __init__(
        self, path: Path, source: FrameTiming, sound: SoundTrack | None, selection: Selection, replace: bool = True
    ) -> None:
        """sound: what to carry over, cut to `selection`.

        replace: whether to replace a file that was created meanwhile.
        """
        self._replace = replace
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
            if not self._replace and os.path.lexists(self._path):
                writer.abort()
                check_target(self._path, force=False)
            cut_off = interrupted or self._selection.max_frames is not None
            writer.close(self._end if cut_off else None)
            self.notes = writer.notes

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()


class ImageSink(Sink):
    """An image file for each frame."""

    def __init__(self, targets: Mapping[Path, Path], replace: bool = True) -> None:
        """targets: from an input image's path to that of its result.

        replace: whether to replace files that were created meanwhile.
        """
        self._targets, self._replace = targets, replace
        self.written: list[Path] = []

    def write(self, result: Result) -> None:
        assert result.frame.path is not None
        target = self._targets[result.frame.path]
        try:
            content = encoded_image(target, result.rendered)
        except OutputError as error:
            raise SkippedFrameError(str(error)) from error
        write_bytes(target, content, sync=False, replace=self._replace)
        self.written.append(target)


def write_image(path: Path, image: NDArray[np.uint8], replace: bool = True) -> None:
    """Writes an image as `encoded_image` does, atomically. Raises OutputError."""
    write_bytes(path, encoded_image(path, image), sync=False, replace=replace)


def encoded_image(path: Path, image: NDArray[np.uint8]) -> bytes:
    """Encodes uint8 [h, w, 3] BGR or [h, w] in the format of the path's suffix. Raises OutputError."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise OutputError(f"{path}: images are written as {', '.join(IMAGE_SUFFIXES)}; choose one of these (-o FILE)")
    try:
        done, content = cv2.imencode(path.suffix.lower(), image)
        if done:
            return content.tobytes()
        reason = ""
    except cv2.error as error:
        reason = f" ({error.err})"
    raise OutputError(
        f"{path}: OpenCV cannot write {image.shape[1]}x{image.shape[0]} pixels as {path.suffix}{reason}; "
        "name a .png (-o), with this image as the only input"
    )


class LabelSink(Sink):
    """A PNG of class indices for each frame: FOLDER/NAME.png, 8 bits, shown in the palette's colours."""

    def __init__(self, folder: Path, palette: Sequence[tuple[int, int, int]], replace: bool = True) -> None:
        """replace: whether to replace files that were created meanwhile."""
        self._folder, self._palette, self._replace = folder, palette, replace

    def write(self, result: Result) -> None:
        content = label_png.encode(result.labels, self._palette)
        write_bytes(self._folder / f"{result.frame.name}.png", content, sync=False, replace=self._replace)


class PolygonSink(Sink):
    """Polygons of one source, into a file that several sources may share; its owner closes the file."""

    def __init__(self, file: CocoFile, source: str) -> None:
        self._file, self._source = file, source

    def write(self, result: Result) -> None:
        self._file.write(str(result.frame.path or self._source), result.frame, result.labels)


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

    def __init__(self, title: str = "HyperSeg") -> None:
        """Raises OutputError where no window can be opened."""
        self._title = title
        missing = missing_for_windows()
        if missing:
            raise OutputError(f"--show needs a window: {'; '.join(missing)}; or omit --show")
        self._before = time.perf_counter()
        self._rate = 0.0

    def write(self, result: Result) -> None:
        now = time.perf_counter()
        current = 1.0 / max(now - self._before, 1e-6)
        self._before, self._rate = now, current if self._rate == 0 else 0.9 * self._rate + 0.1 * current
        shown = result.rendered.copy()
        place, font = (10, 30), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(shown, f"{self._rate:.1f} frames/s", place, font, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.imshow(self._title, shown)
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27) or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            raise WindowClosedError

    def close(self, interrupted: bool = False) -> None:
        del interrupted
        cv2.destroyAllWindows()

    def abort(self) -> None:
        self.close()

"""Frame sources: the interface, image files and cameras. Videos and streams are in `reader`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.image_files import read_image
from hyperseg_runtime.preprocess import Frame, Size


@dataclass(frozen=True)
class SourceFrame:
    """A decoded frame, upright, BGR."""

    image: Frame
    index: int
    """Number in the source, from 0, counting the frames that --every leaves out."""
    time: Fraction
    """Seconds since the beginning of the source (or of the cut); 0 for an image file."""
    name: str
    """File-name stem of outputs about this frame."""
    path: Path | None = None
    """The image's file; None for frames of videos."""
    duration: Fraction | None = None
    """Seconds until the next frame is due, or the source or cut ends; None: unknown (live sources, images)."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel by its height; anything but 1 in anamorphic videos."""

    @property
    def size(self) -> Size:
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Selection:
    """The frames of a video to process.

    Raises InputError for times below 0, and for numbers of frames below 1.
    """

    start: Fraction = Fraction(0)
    """In seconds, as `end` is."""
    end: Fraction | None = None
    every: int = 1
    max_frames: int | None = None

    def __post_init__(self) -> None:
        for name, seconds in (("start", self.start), ("end", self.end)):
            if seconds is not None and not (isinstance(seconds, Real) and 0 <= seconds < math.inf):
                raise InputError(f"{name} is {seconds!r}; it has to be a number of seconds, at least 0")
        for name, count in (("every", self.every), ("max_frames", self.max_frames)):
            if (count is not None or name == "every") and not (isinstance(count, Integral) and count >= 1):
                raise InputError(f"{name} is {count!r}; it has to be a whole number of frames, at least 1")

    @property
    def whole(self) -> bool:
        return self == Selection()


class FrameSource(Protocol):
    """A source of frames: a video, a stream, a camera, or image files."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def expected_frames(self) -> int | None:
        """The number of frames, if known (for the progress bar only)."""

    @property
    def live(self) -> bool:
        """Whether frames arrive in real time, and are lost when nobody takes them."""

    @property
    def problems(self) -> list[str]:
        """Errors that did not stop the source, one line each; complete after the last frame."""

    def frames(self) -> Iterator[SourceFrame]:
        """Yields the frames. Raises InputError."""

    def stop(self) -> None:
        """Ends `frames` where it would wait for data without end. From any thread."""

    def close(self) -> None: ...


class FrameTiming(Protocol):
    """What a video's writer has to know of the frames' times."""

    @property
    def rate(self) -> Fraction:
        """Average frames per second, without those that --every leaves out."""

    @property
    def time_base(self) -> Fraction:
        """The unit of the frames' times, in seconds."""


class VideoSource(FrameSource, FrameTiming, Protocol):
    """A source whose frames have times, so that a video can be made of them."""

    @property
    def exhausted(self) -> bool:
        """Whether the source itself has ended, and not the part of it that is wanted; known after the last frame."""

    @property
    def stopped_by(self) -> str | None:
        """The error that ended the source, if one did; known after the last frame."""


class ImageReader:
    """Reads image files one after another; one that cannot be read is a problem, not the end."""

    def __init__(
        self, paths: tuple[Path, ...], selection: Selection | None = None, done: frozenset[Path] = frozenset()
    ) -> None:
        """done: images to leave out of those that `selection` takes."""
        wanted = selection or Selection()
        selected = list(enumerate(paths))[:: wanted.every][: wanted.max_frames]
        self._paths = [(index, path) for index, path in selected if path not in done]
        self._problems: list[str] = []

    @property
    def name(self) -> str:
        return f"{len(self._paths)} images" if len(self._paths) != 1 else str(self._paths[0][1])

    @property
    def expected_frames(self) -> int | None:
        return len(self._paths)

    @property
    def live(self) -> bool:
        return False

    @property
    def problems(self) -> list[str]:
        return self._problems

    def frames(self) -> Iterator[SourceFrame]:
        for index, path in self._paths:
            try:
                yield SourceFrame(read_image(path), index, Fraction(0), path.stem, path)
            except InputError as error:
                self._problems.append(str(error))

    def stop(self) -> None:
        """Files do not wait."""

    def close(self) -> None:
        pass


class Camera:
    """A camera of this machine, by its index, through OpenCV (V4L2, AVFoundation or Media Foundation).

    Frames are timed by the clock. Ends at --end seconds, at --max-frames, or with Ctrl-C.
    """

    time_base = Fraction(1, 1000)

    def __init__(self, index: int, selection: Selection | None = None) -> None:
        """Raises InputError."""
        self._index = index
        self._selection = selection or Selection()
        self._problems: list[str] = []
        self.exhausted = False
        self.stopped_by: str | None = None
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise InputError(f"camera {index} cannot be opened; is it connected, free, and are you allowed to use it?")

    @property
    def name(self) -> str:
        return f"camera {self._index}"

    @property
    def stem(self) -> str:
        return f"camera-{self._index}"

    @property
    def expected_frames(self) -> int | None:
        return self._selection.max_frames

    @property
    def live(self) -> bool:
        return True

    @property
    def problems(self) -> list[str]:
        return self._problems

    @property
    def rate(self) -> Fraction:
        reported = self._capture.get(cv2.CAP_PROP_FPS)
        rate = Fraction(reported).limit_denominator(1001) if reported and reported > 0 else Fraction(30)
        return rate / self._selection.every

    def frames(self) -> Iterator[SourceFrame]:
        start = time.monotonic()
        given = index = 0
        while given != self._selection.max_frames:
            done, image = self._capture.read()
            now = Fraction(round((time.monotonic() - start) * 1000), 1000)
            if not done:
                self.exhausted, self.stopped_by = True, "the camera gives no frame"
                self._problems.append(f"camera {self._index} stopped after {index} frames; they are kept")
                return
            if self._selection.end is not None and now >= self._selection.end:
                return
            if now >= self._selection.start and index % self._selection.every == 0:
                name = f"{self.stem}_{index:06d}"
                yield SourceFrame(np.asarray(image, dtype=np.uint8), index, now - self._selection.start, name)
                given += 1
            index += 1

    def stop(self) -> None:
        """OpenCV gives up by itself where a camera sends nothing."""

    def close(self) -> None:
        self._capture.release()

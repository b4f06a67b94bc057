"""A camera of this machine, by its index, through OpenCV (which knows V4L2, AVFoundation and Media Foundation)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.video.frames import Selection, SourceFrame


class Camera:
    """Frames as they come, timed by the clock. Ends at --end seconds, at --max-frames, or with Ctrl-C."""

    time_base = Fraction(1, 1000)

    def __init__(self, index: int, selection: Selection | None = None) -> None:
        self._index = index
        self._selection = selection or Selection()
        self._problems: list[str] = []
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
        promised = self._capture.get(cv2.CAP_PROP_FPS)
        rate = Fraction(promised).limit_denominator(1001) if promised and promised > 0 else Fraction(30)
        return rate / self._selection.every

    def frames(self) -> Iterator[SourceFrame]:
        start = time.monotonic()
        given = index = 0
        while given != self._selection.max_frames:
            done, image = self._capture.read()
            now = Fraction(round((time.monotonic() - start) * 1000), 1000)
            if not done:
                self._problems.append(f"camera {self._index} stopped after {index} frames; they are kept")
                return
            if self._selection.end is not None and now >= self._selection.end:
                return
            if now >= self._selection.start and index % self._selection.every == 0:
                name = f"{self.stem}_{index:06d}"
                yield SourceFrame(np.asarray(image, dtype=np.uint8), index, now - self._selection.start, name)
                given += 1
            index += 1

    def close(self) -> None:
        self._capture.release()

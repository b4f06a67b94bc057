"""A row of pictures, read as if it were a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.preprocess import Frame
from hyperseg_runtime.video.frames import Selection, SourceFrame


class PictureReader:
    """Reads pictures one after another; one that cannot be read is a problem, not the end."""

    def __init__(self, paths: tuple[Path, ...], selection: Selection | None = None) -> None:
        wanted = selection or Selection()
        self._paths = list(enumerate(paths))[:: wanted.every][: wanted.max_frames]
        self._problems: list[str] = []

    @property
    def name(self) -> str:
        return f"{len(self._paths)} pictures" if len(self._paths) != 1 else str(self._paths[0][1])

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
                yield SourceFrame(read_picture(path), index, Fraction(0), path.stem, path)
            except InputError as error:
                self._problems.append(str(error))

    def close(self) -> None:
        pass


def read_picture(path: Path) -> Frame:
    """uint8 [h, w, 3] BGR, upright by its EXIF rotation; grey, 16-bit and alpha are converted. Raises InputError."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if content.size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{path} is not a picture that OpenCV can read ({error.err})") from error
    if image is None:
        raise InputError(f"{path} is not a picture, or it is damaged")
    return np.asarray(image, dtype=np.uint8)

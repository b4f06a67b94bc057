"""Pictures on disk: rendered frames and label images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.output_files import write_bytes

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes uint8 [h, w, 3] BGR or [h, w] in the format of the suffix, whole or not at all. Raises OutputError."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: pictures are written as {', '.join(SUFFIXES)}; choose one of these (-o FILE)")
    try:
        done, content = cv2.imencode(path.suffix.lower(), image)
    except cv2.error as error:
        raise OutputError(f"{path}: OpenCV cannot write this picture as {path.suffix} ({error.err})") from error
    if not done:
        raise OutputError(f"{path}: OpenCV cannot write this picture as {path.suffix}; choose .png")
    write_bytes(path, content.tobytes(), sync=False)

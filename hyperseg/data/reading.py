"""Reading of image and label files; a file that cannot be read is a `DataError` that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg.data.label_error import LabelValueError, count_values
from hyperseg.data.label_png import read_palette_indices
from hyperseg.errors import DataError

Pixels = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp"})
"""Formats that change pixel values: for images, and not for labels."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"
_PNG_END = b"IEND"
_EXIF_JPEG, _EXIF_PNG, _EXIF_WITHIN = b"Exif\0\0", b"eXIf", 1 << 17


def read_image(path: Path) -> Pixels:
    """Read an image as uint8 [H, W, 3] RGB, turned as its EXIF orientation says, which is how viewers show it."""
    return np.asarray(cv2.cvtColor(_decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def is_turned(path: Path, image: Pixels) -> bool:
    """Whether an EXIF orientation turned or mirrored this image, which `read_image` has read."""
    content = path.read_bytes()[:_EXIF_WITHIN]
    if _EXIF_JPEG not in content and _EXIF_PNG not in content:
        return False
    stored = _decoded(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return not np.array_equal(stored[..., ::-1], image)


def read_label(path: Path, indexed: bool) -> Pixels:
    """Read a label file as it is: uint8 [H, W] or BGR [H, W, 3]. `indexed`: of a palette PNG, read the indices."""
    indices = read_palette_indices(path) if indexed and path.is_file() else None
    if indices is not None:
        return indices
    pixels = _decoded(path, cv2.IMREAD_UNCHANGED)
    if pixels.dtype != np.uint8 and pixels.max(initial=0) > 255:
        raise LabelValueError(path, count_values(pixels[pixels > 255]), "which is not a class of this dataset")
    return np.asarray(pixels, np.uint8)


def read_stored(path: Path) -> NDArray[Any]:
    """Read the pixels of an image file as they are stored: of any type, [H, W] or BGR(A) [H, W, 3 or 4]."""
    return _decoded(path, cv2.IMREAD_UNCHANGED)


def _decoded(path: Path, flags: int) -> NDArray[Any]:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        content = path.read_bytes()
        if is_truncated(content):
            raise DataError(f"{path} is truncated: its end is missing; fetch it again")
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except cv2.error as error:
        raise DataError(f"{path} is not an image that OpenCV can read ({error.err})") from error
    if pixels is None:
        raise DataError(f"{path} is not a readable image; fetch it again")
    return np.asarray(pixels)


def is_jpeg(path: Path) -> bool:
    """Whether this is a JPEG file, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(len(_JPEG)) == _JPEG
    except OSError:
        return False


def is_truncated(content: bytes) -> bool:
    """Whether a PNG or JPEG file lacks its end, of which OpenCV before 5 returns the part that is there.

    A JPEG file ends with EOI, which occurs neither in its segments' lengths nor in coded data (ITU-T T.81, B.1.1);
    a PNG file with the chunk IEND (PNG specification, third edition, section 11.2.5).
    """
    if content.startswith(_PNG):
        return content.find(_PNG_END, 8) < 0
    if not content.startswith(_JPEG):
        return False
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            return False  # OpenCV decides what this is
        if content[place + 1] == 0xFF:  # a fill byte
            place += 1
        elif content[place + 1] == _JPEG_SCAN:
            return content.find(_JPEG_END, place) < 0
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return True

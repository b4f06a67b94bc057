"""Reading of image and label files; a file that cannot be read is a `DataError` that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg.data.label_error import LabelValueError, count_values
from hyperseg.data.label_png import as_stored, grey_depth, palette_indices
from hyperseg.errors import DataError

Pixels = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp"})
"""Formats that change pixel values: for images, and not for labels."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_EXACT = (_PNG, b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How PNG, BMP, TIFF and BigTIFF files begin."""

_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"
_PNG_END = b"IEND"
_EXIF_JPEG, _EXIF_PNG, _EXIF_WITHIN = b"Exif\0\0", b"eXIf", 1 << 17


def read_content(path: Path) -> bytes:
    """Read a file; no other kind of file is opened, since a FIFO would never answer."""
    if not path.is_file():
        raise DataError(f"{path} is no file" if path.exists() else f"{path} does not exist")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def read_image(path: Path) -> Pixels:
    """Read an image as uint8 [H, W, 3] RGB, turned as its EXIF orientation says, which is how viewers show it."""
    return np.asarray(cv2.cvtColor(decoded(path, read_content(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def is_turned(path: Path, image: Pixels) -> bool:
    """Whether an EXIF orientation turned or mirrored this image, which `read_image` has read."""
    content = read_content(path)
    if _EXIF_JPEG not in content[:_EXIF_WITHIN] and _EXIF_PNG not in content[:_EXIF_WITHIN]:
        return False
    stored = decoded(path, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return not np.array_equal(stored[..., ::-1], image)


def read_label(path: Path, indexed: bool) -> Pixels:
    """Read a label file as it is: uint8 [H, W] or BGR [H, W, 3]. `indexed`: of a palette PNG, read the indices."""
    content = read_content(path)
    indices = palette_indices(content) if indexed else None
    if indices is not None:
        return indices
    pixels = decoded(path, content, cv2.IMREAD_UNCHANGED)
    if indexed and (depth := grey_depth(content)) is not None:
        pixels = as_stored(pixels, depth)
    if pixels.dtype != np.uint8 and pixels.max(initial=0) > 255:
        raise LabelValueError(path, count_values(pixels[pixels > 255]), "which is not a class of this dataset")
    return np.asarray(pixels, np.uint8)


def decoded(path: Path, content: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    """Decode an image file, by default as it is stored: pixels of any type, [H, W] or BGR(A) [H, W, 3 or 4].

    Raises:
        DataError: it is truncated, or not an image that OpenCV can read; the message names `path`.
    """
    if is_truncated(content):
        raise DataError(f"{path} is truncated: its end is missing; fetch it again")
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    except cv2.error as error:
        raise DataError(f"{path} is not an image that OpenCV can read ({error.err})") from error
    if pixels is None:
        raise DataError(f"{path} is not a readable image; fetch it again")
    return np.asarray(pixels)


def is_lossy(content: bytes) -> bool:
    """Whether a file is in a format of `LOSSY_SUFFIXES`, whatever its name."""
    return content.startswith(_JPEG) or (content.startswith(b"RIFF") and content[8:12] == b"WEBP")


def is_exact(content: bytes) -> bool:
    """Whether a file is in a format of labels, whatever its name: PNG, BMP or TIFF."""
    return content.startswith(_EXACT)


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

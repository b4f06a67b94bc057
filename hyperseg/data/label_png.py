"""Class indices from PNG files with a palette, for which OpenCV would give the palette's colours.

A palette image becomes a grey one whose pixels are the indices when the colour type in its header is changed (PNG
specification, third edition, section 11.2.1); OpenCV then decodes it as it is.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH_AT, _COLOUR_TYPE_AT = 24, 25
_GREY, _PALETTE, _GREY_ALPHA = 0, 3, 4
_NEEDED = (b"IDAT", b"IEND")


def read_palette_indices(path: Path) -> NDArray[np.uint8] | None:
    """The pixels of a palette PNG, uint8 [H, W]; None for every other file, and for one that is damaged."""
    with path.open("rb") as file:
        start = file.read(_COLOUR_TYPE_AT + 1)
        if not start.startswith(_SIGNATURE) or len(start) <= _COLOUR_TYPE_AT or start[_COLOUR_TYPE_AT] != _PALETTE:
            return None
        content = start + file.read()
    depth = content[_DEPTH_AT]
    pixels = cv2.imdecode(np.frombuffer(_as_grey(content), np.uint8), cv2.IMREAD_UNCHANGED) if depth <= 8 else None
    if pixels is None or pixels.ndim != 2:
        return None
    return np.asarray(pixels // (255 // ((1 << depth) - 1)), np.uint8)  # OpenCV spreads 1, 2, 4 bits over 0 to 255


def _as_grey(content: bytes) -> bytes:
    header = content[12:_COLOUR_TYPE_AT] + bytes([_GREY]) + content[_COLOUR_TYPE_AT + 1 : 29]
    parts = [content[:12], header, struct.pack(">I", zlib.crc32(header))]
    place = 33
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        if kind in _NEEDED:  # with its checksum, which is still right or still wrong
            parts.append(content[place : place + size + 12])
        place += size + 12
    return b"".join(parts)


def has_colour_channels(path: Path) -> bool:
    """Whether an image file that OpenCV reads as colours has them: not a PNG that is grey with alpha."""
    with path.open("rb") as file:
        start = file.read(_COLOUR_TYPE_AT + 1)
    return not (start.startswith(_SIGNATURE) and len(start) > _COLOUR_TYPE_AT and start[_COLOUR_TYPE_AT] == _GREY_ALPHA)

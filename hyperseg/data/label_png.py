"""Class indices as PNG files store them, where OpenCV gives something else: the colours of a palette, or grey spread.

A palette image becomes a grey one whose pixels are the indices when the colour type in its header is changed (PNG
specification, third edition, section 11.2.1); OpenCV then decodes it as it is.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH_AT, _COLOUR_TYPE_AT = 24, 25
_GREY, _PALETTE, _GREY_ALPHA = 0, 3, 4
_NEEDED = (b"IDAT", b"IEND")


def palette_indices(content: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a palette PNG file, uint8 [H, W]; None for every other file, and for one that is damaged."""
    if _colour_type(content) != _PALETTE:
        return None
    depth = content[_DEPTH_AT]
    pixels = cv2.imdecode(np.frombuffer(_as_grey(content), np.uint8), cv2.IMREAD_UNCHANGED) if depth <= 8 else None
    if pixels is None or pixels.ndim != 2:
        return None
    return np.asarray(pixels // _spread(depth), np.uint8)


def grey_depth(content: bytes) -> int | None:
    """Bits per pixel of a grey PNG file; None for every other file."""
    return content[_DEPTH_AT] if _colour_type(content) == _GREY else None


def as_stored(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """Values of 1, 2 or 4 bits per pixel as a grey PNG file stores them, from OpenCV's; those of more as they are."""
    return pixels // _spread(depth) if depth < 8 else pixels


def has_colour_channels(content: bytes) -> bool:
    """Whether an image file that OpenCV reads as colours has them: not a PNG that is grey with alpha."""
    return _colour_type(content) != _GREY_ALPHA


def _colour_type(content: bytes) -> int | None:
    whole = content.startswith(_SIGNATURE) and len(content) > _COLOUR_TYPE_AT
    return content[_COLOUR_TYPE_AT] if whole else None


def _spread(depth: int) -> int:
    """The factor by which OpenCV spreads values of 1, 2 or 4 bits over 0 to 255."""
    return 255 // ((1 << depth) - 1)


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

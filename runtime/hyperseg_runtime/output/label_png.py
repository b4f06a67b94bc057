"""Label files: 8-bit PNG images of class indices with a palette, so that viewers show the classes in their colours.

The pixels of a palette PNG (colour type 3) are the indices. PIL reads them as such (`Image.open`, mode P), while OpenCV
looks up the colours; `decode` reads indices. OpenCV writes no palettes either, but a palette image and a grey one
differ only in the header and the PLTE chunk (PNG specification, third edition, sections 11.2.1 and 11.2.2).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.preprocess import Labels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_DEPTH_AT, _COLOUR_TYPE_AT = 8, 9
"""Places in the header chunk: after width and height, 4 bytes each."""


def encode(labels: Labels, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """A PNG whose pixels are `labels`, uint8 [h, w]. palette: RGB of the labels from 0; others are black."""
    done, content = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    colours = np.zeros((256, 3), np.uint8)  # every value that a pixel can have, as the specification demands
    colours[: len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    parts = [_SIGNATURE]
    for kind, data in _chunks(content.tobytes()):
        if kind == b"IHDR":
            parts += [_chunk(kind, _with_colour_type(data, _PALETTE)), _chunk(b"PLTE", colours.tobytes())]
        else:
            parts.append(_chunk(kind, data))
    return b"".join(parts)


def decode(content: bytes) -> Labels:
    """The pixels of a palette or grey PNG, uint8 [h, w]. Raises InputError for any other content."""
    try:
        chunks = list(_chunks(content))
        header = dict(chunks)[b"IHDR"]
        depth, colour_type = header[_DEPTH_AT], header[_COLOUR_TYPE_AT]
    except (ValueError, LookupError, struct.error):
        raise InputError("this is no PNG file, or it is damaged") from None
    if colour_type not in (_GREY, _PALETTE) or depth > 8:
        raise InputError("this PNG file has colours instead of class indices; labels have one channel of 8 bits")
    grey = [_SIGNATURE]
    for kind, data in chunks:
        if kind == b"IHDR":
            grey.append(_chunk(kind, _with_colour_type(data, _GREY)))
        elif kind not in (b"PLTE", b"tRNS"):
            grey.append(_chunk(kind, data))
    pixels = cv2.imdecode(np.frombuffer(b"".join(grey), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2:
        raise InputError("this PNG file is damaged")
    return np.asarray(pixels // (255 // ((1 << depth) - 1)), np.uint8)  # OpenCV spreads 1, 2 and 4 bits over 0 to 255


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk. Raises ValueError or struct.error."""
    if not content.startswith(_SIGNATURE):
        raise ValueError("not a PNG file")
    place = len(_SIGNATURE)
    while place < len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        yield kind, content[place + 8 : place + 8 + size]
        place += size + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_colour_type(header: bytes, colour_type: int) -> bytes:
    return header[:_COLOUR_TYPE_AT] + bytes([colour_type]) + header[_COLOUR_TYPE_AT + 1 :]

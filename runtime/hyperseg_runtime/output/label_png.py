"""Label files: 8-bit PNG images of class indices with a palette, so that viewers show the classes in their colours.

The pixels of a palette PNG (colour type 3) are the indices. PIL reads them as such (`Image.open`, mode P), while OpenCV
looks up the colours. OpenCV writes no palettes either, but a palette image and a grey one differ only in the header and
the PLTE chunk (PNG specification, third edition, sections 11.2.1 and 11.2.2).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from hyperseg_runtime.preprocess import Labels

_HEADER_END = 8 + 25
"""After the signature and the header chunk, which is always the first: length, IHDR, 13 bytes, CRC."""
_COLOUR_TYPE_AT, _PALETTE = 9, b"\3"


def encode(labels: Labels, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """A PNG whose pixels are `labels`, uint8 [h, w]. palette: RGB of the labels from 0; others are black."""
    done, content = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    grey = content.tobytes()
    header = grey[16 : 16 + 13]
    colours = np.zeros((256, 3), np.uint8)  # for every value that a pixel can have, as the specification demands
    colours[: len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    return b"".join(
        [
            grey[:8],
            _chunk(b"IHDR", header[:_COLOUR_TYPE_AT] + _PALETTE + header[_COLOUR_TYPE_AT + 1 :]),
            _chunk(b"PLTE", colours.tobytes()),
            grey[_HEADER_END:],
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

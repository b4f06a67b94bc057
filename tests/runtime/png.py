"""A reader of 8-bit PNG files with one channel, from the specification: it knows nothing of the program's writer."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def read_indices(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [h, w] and palette uint8 [n, 3] (RGB) of a palette image; asserts every chunk's checksum."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: list[tuple[bytes, bytes]] = []
    place = 8
    while place < len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + size]
        assert struct.unpack_from(">I", content, place + 8 + size)[0] == zlib.crc32(kind + data)
        chunks.append((kind, data))
        place += 12 + size
    kinds = [kind for kind, _ in chunks]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert kinds.index(b"PLTE") < kinds.index(b"IDAT")
    width, height, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour_type, interlaced) == (8, 3, 0)
    rows = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    lines = np.frombuffer(rows, np.uint8).reshape(height, width + 1)
    pixels = np.zeros((height, width), np.uint8)
    above = np.zeros(width, np.uint8)
    for y in range(height):
        pixels[y] = above = _unfiltered(int(lines[y, 0]), lines[y, 1:], above)
    return pixels, np.frombuffer(dict(chunks)[b"PLTE"], np.uint8).reshape(-1, 3)


def _unfiltered(kind: int, line: np.ndarray, above: np.ndarray) -> np.ndarray:
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line, dtype=np.uint8)
    if kind == 2:
        return line + above
    made = np.zeros(len(line) + 1, int)
    up = np.concatenate([[0], above]).astype(int)
    for x in range(1, len(made)):
        left, over, corner = made[x - 1], up[x], up[x - 1]
        if kind == 3:
            guess = (left + over) // 2
        else:
            distances = [abs(over - corner), abs(left - corner), abs(left + over - 2 * corner)]
            guess = (left, over, corner)[int(np.argmin(distances))]
        made[x] = (line[x - 1] + guess) % 256
    return made[1:].astype(np.uint8)

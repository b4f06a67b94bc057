"""Writes HEIF images: coded tiles, a grid of them, a thumbnail, and a rotation or mirroring."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np

ENCODERS = {"heic": ("libx265", b"hvc1", b"hvcC"), "avif": ("libsvtav1", b"av01", b"av1C")}
_OPTIONS = {"libx265": {"crf": "4", "x265-params": "log-level=none:keyint=1"}, "libsvtav1": {"crf": "5"}}


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _full(name: bytes, *parts: bytes, version: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24), *parts)


def _coded(image: np.ndarray, encoder: str, configuration: bytes) -> tuple[bytes, bytes]:
    """The decoder's configuration box and the sample of one image, as an MP4 file has them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=1, options=_OPTIONS[encoder])
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = buffer.getvalue()
    at = content.index(configuration) - 4
    (size,) = struct.unpack(">I", content[at : at + 4])
    with av.open(io.BytesIO(content)) as container:
        sample = b"".join(bytes(packet) for packet in container.demux(video=0))
    return content[at : at + size], sample


def write_heif(
    path: Path, image: np.ndarray, *, tile: int | None = None, turns: int = 0, mirror: int | None = None
) -> Path:
    """Writes `image` (uint8 [h, w, 3] BGR) with a thumbnail before it; `tile`: in square tiles of this size.

    turns: quarters anticlockwise that a reader has to turn; mirror: 0 top to bottom, 1 left to right, after that.
    """
    encoder, kind, configuration = ENCODERS[path.suffix[1:]]
    height, width = image.shape[:2]
    pieces = [image]
    if tile is not None:
        padded = np.pad(image, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
        rows, columns = padded.shape[0] // tile, padded.shape[1] // tile
        pieces = [
            padded[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
            for row in range(rows)
            for column in range(columns)
        ]
    thumbnail = np.full((64, 64, 3), 255, np.uint8)
    coded = [_coded(np.ascontiguousarray(piece), encoder, configuration) for piece in [thumbnail, *pieces]]
    sizes = [piece.shape[:2] for piece in [thumbnail, *pieces]]
    types = [kind] * len(coded)
    samples = [sample for _, sample in coded]
    primary = 2
    references = []
    if tile is not None:
        primary = len(coded) + 1
        types.append(b"grid")
        sizes.append((height, width))
        samples.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height))
        references = [_box(b"dimg", struct.pack(f">HH{len(pieces)}H", primary, len(pieces), *range(2, primary)))]
    references.append(_box(b"thmb", struct.pack(">HHH", 1, 1, primary)))

    properties = [_full(b"ispe", struct.pack(">II", wide, high)) for high, wide in sizes]
    associations = [[number] for number in range(1, len(sizes) + 1)]
    for number, (box, _) in enumerate(coded):
        properties.append(box)
        associations[number].append(len(properties) | 0x80)
    for name, value in ((b"irot", turns or None), (b"imir", mirror)):
        if value is not None:
            properties.append(_box(name, bytes([value])))
            associations[primary - 1].append(len(properties) | 0x80)
    entries = b"".join(
        struct.pack(">HB", number + 1, len(indices)) + bytes(indices) for number, indices in enumerate(associations)
    )

    def meta(first: int) -> bytes:
        starts = np.cumsum([first, *map(len, samples)])[:-1]
        places = b"".join(
            struct.pack(">HHHII", number + 1, 0, 1, int(start), len(sample))
            for number, (start, sample) in enumerate(zip(starts, samples, strict=True))
        )
        infos = [_full(b"infe", struct.pack(">HH4sx", n + 1, 0, name), version=2) for n, name in enumerate(types)]
        return _full(
            b"meta",
            _full(b"hdlr", struct.pack(">I4s12xx", 0, b"pict")),
            _full(b"pitm", struct.pack(">H", primary)),
            _full(b"iloc", struct.pack(">BBH", 0x44, 0, len(samples)), places),
            _full(b"iinf", struct.pack(">H", len(types)), *infos),
            _full(b"iref", *references),
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", struct.pack(">I", len(associations)), entries)),
        )

    brand = b"heic" if kind == b"hvc1" else b"avif"
    head = _box(b"ftyp", brand, struct.pack(">I", 0), b"mif1", brand)
    first = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(first) + _box(b"mdat", *samples))
    return path

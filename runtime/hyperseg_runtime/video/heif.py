"""HEIF images (HEIC, AVIF): the primary image, joined from its tiles, mirrored and turned upright.

FFmpeg decodes the coded items, one stream each, and leaves the rest to the caller. Cameras of phones write an image as
a grid of tiles of 512x512, with thumbnails and depth maps as further items. Boxes as in ISO/IEC 23008-12 and 14496-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.preprocess import Frame

if TYPE_CHECKING:
    from av.container import InputContainer

_Box = tuple[bytes, memoryview]
_MAX_PIXELS = 1 << 30  # OpenCV's limit for an image
_FULL_BOX = 4
"""Bytes of version and flags."""


@dataclass
class _Items:
    """The items of a file, by their ids."""

    primary: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    tiles: dict[int, list[int]] = field(default_factory=dict)
    """The items that a derived image is made of, in order."""
    properties: list[_Box] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)
    """Indices into `properties`, in the order in which they apply."""

    def properties_of(self, item: int) -> list[_Box]:
        return [self.properties[index] for index in self.of_item.get(item, ()) if index < len(self.properties)]


def read_heif(path: Path, content: bytes) -> Frame:
    """uint8 [h, w, 3] BGR, upright. content: the whole file. Raises InputError."""
    from av.error import FFmpegError

    try:
        items = _items(content)
        images = _decoded(path, items)
        image = _joined(items, images)
        for name, value in items.properties_of(items.primary):
            image = _transformed(image, name, value)
        return np.ascontiguousarray(image)
    except (FFmpegError, LookupError, StopIteration, ValueError, cv2.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"{path} is a HEIC or AVIF image that is damaged, or of a kind that FFmpeg cannot decode here ({reason}); "
            "convert it to JPEG or PNG"
        ) from error


def _joined(items: _Items, images: dict[int, Frame]) -> Frame:
    if items.types.get(items.primary) != b"grid":
        return images[items.primary]
    size = next(bytes(value) for name, value in items.properties_of(items.primary) if name == b"ispe")
    width, height = (int.from_bytes(size[at : at + 4], "big") for at in (4, 8))
    tiles = [images[tile] for tile in items.tiles[items.primary]]
    tile_height, tile_width = tiles[0].shape[:2]
    columns, rows = -(-width // tile_width), -(-height // tile_height)
    if not 0 < width * height < _MAX_PIXELS or columns * rows != len(tiles):
        raise ValueError(f"{len(tiles)} tiles of {tile_width}x{tile_height} for {width}x{height} pixels")
    if any(tile.shape != tiles[0].shape for tile in tiles):
        raise ValueError("tiles of different sizes")
    joined = cv2.vconcat([cv2.hconcat(tiles[row * columns : (row + 1) * columns]) for row in range(rows)])
    return np.asarray(joined[:height, :width], dtype=np.uint8)


def _transformed(image: Frame, name: bytes, value: memoryview) -> Frame:
    if name == b"irot":
        return np.rot90(image, value[0] & 3)  # anticlockwise
    if name == b"imir":
        return image[:, ::-1] if value[0] & 1 else image[::-1]
    if name == b"clap":
        return _cropped(image, value)
    return image


def _cropped(image: Frame, clean_aperture: memoryview) -> Frame:
    """ISO/IEC 14496-12, 12.1.4: width, height, and the offsets of the centre, as fractions."""
    numbers = [int.from_bytes(clean_aperture[at : at + 4], "big", signed=at in (16, 24)) for at in range(0, 32, 4)]
    width, height, right, down = (numbers[at] / numbers[at + 1] if numbers[at + 1] else 0.0 for at in (0, 2, 4, 6))
    top = round((image.shape[0] - height) / 2 + down)
    left = round((image.shape[1] - width) / 2 + right)
    cropped = image[max(0, top) : top + round(height), max(0, left) : left + round(width)]
    return cropped if cropped.size else image


def _decoded(path: Path, items: _Items) -> dict[int, Frame]:
    """The images of the primary item or of its tiles, by their items' ids."""
    import av

    wanted = set(items.tiles.get(items.primary, ())) if items.types.get(items.primary) == b"grid" else {items.primary}
    av.logging.set_level(None)
    with av.open(f"file:{path.absolute()}") as container:
        return dict(_frames(container, wanted))


def _frames(container: InputContainer, wanted: set[int]) -> Iterator[tuple[int, Frame]]:
    from av.video.frame import VideoFrame

    streams = [stream for stream in container.streams.video if stream.id in wanted]
    left = set(wanted)
    for packet in container.demux(streams):
        for frame in packet.decode():
            item = packet.stream.id
            if isinstance(frame, VideoFrame) and item in left:
                left.remove(item)
                yield item, np.asarray(frame.to_ndarray(format="bgr24", interpolation="BICUBIC"), dtype=np.uint8)
        if not left:
            return


def _items(content: bytes) -> _Items:
    items = _Items()
    meta = next((value for name, value in _boxes(memoryview(content)) if name == b"meta"), None)
    if meta is None:
        raise ValueError("no meta box")
    for name, value in _boxes(meta[_FULL_BOX:]):
        if name == b"pitm":
            items.primary = int.from_bytes(value[_FULL_BOX:], "big")
        elif name == b"iinf":
            count_bytes = 4 if value[0] else 2
            for _, entry in _boxes(value[_FULL_BOX + count_bytes :]):
                wide = 4 if entry[0] >= 3 else 2  # bytes of an item's id
                after = _FULL_BOX + wide + 2
                items.types[int.from_bytes(entry[4 : 4 + wide], "big")] = bytes(entry[after : after + 4])
        elif name == b"iref":
            _read_references(value, items)
        elif name == b"iprp":
            for inner, part in _boxes(value):
                if inner == b"ipco":
                    items.properties = list(_boxes(part))
                elif inner == b"ipma":
                    _read_associations(part, items)
    return items


def _read_references(value: memoryview, items: _Items) -> None:
    wide = 4 if value[0] else 2
    for name, entry in _boxes(value[_FULL_BOX:]):
        if name == b"dimg":
            numbers = [int.from_bytes(entry[at : at + wide], "big") for at in range(wide + 2, len(entry), wide)]
            items.tiles[int.from_bytes(entry[:wide], "big")] = numbers


def _read_associations(value: memoryview, items: _Items) -> None:
    wide = 4 if value[0] else 2
    index_bytes = 2 if value[3] & 1 else 1
    at = _FULL_BOX + 4
    for _ in range(int.from_bytes(value[_FULL_BOX : _FULL_BOX + 4], "big")):
        item, count = int.from_bytes(value[at : at + wide], "big"), value[at + wide]
        at += wide + 1
        entries = [value[at + step * index_bytes : at + (step + 1) * index_bytes] for step in range(count)]
        essential = 1 << (8 * index_bytes - 1)  # the first bit is a flag; indices count from 1
        items.of_item[item] = [(int.from_bytes(entry, "big") & ~essential) - 1 for entry in entries]
        at += count * index_bytes


def _boxes(content: memoryview) -> Iterator[_Box]:
    at = 0
    while at + 8 <= len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), bytes(content[at + 4 : at + 8])
        header = 8
        if size == 1:
            size, header = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = len(content) - at
        if size < header:
            raise ValueError(f"a box of {size} bytes")
        yield name, content[at + header : at + size]
        at += size

"""Label files with a palette: datasets get the indices, as hyperseg-run writes them, and not the colours."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.output import label_png

from hyperseg.classes import CAMVID_11, CITYSCAPES, VOC
from hyperseg.data.description import read_description
from hyperseg.data.label_png import palette_indices
from hyperseg.data.label_values import OwnLabels
from hyperseg.data.layouts import Layout, open_split
from hyperseg.data.reading import read_label
from hyperseg.errors import DataError

from .folders import camvid, describe, image, labels, write


def write_palette_png(path: Path, pixels: np.ndarray, depth: int, colour_type: int = 3) -> Path:
    """A palette (or grey: colour type 0) PNG of 1, 2, 4 or 8 bits, without filters, whose colours are all the same."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    bits = (pixels[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1).reshape(height, -1)
    rows = np.packbits(bits.astype(np.uint8), axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [
        (b"IHDR", head), (b"gAMA", struct.pack(">I", 45455)), (b"PLTE", bytes(range(3)) * (1 << depth)),
        (b"tRNS", b"\7\7"), (b"IDAT", zlib.compress(lines)), (b"IEND", b""),
    ]  # fmt: skip
    if colour_type == 0:  # which has no palette, and needs no transparency (PNG specification, 11.2.2 and 11.3.1.1)
        chunks = [one for one in chunks if one[0] not in (b"PLTE", b"tRNS")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks))
    return path


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_indices_of_any_depth(tmp_path: Path, depth: int) -> None:
    pixels = np.random.default_rng(depth).integers(0, 1 << depth, (13, 21)).astype(np.uint8)
    read = palette_indices(write_palette_png(tmp_path / "a.png", pixels, depth).read_bytes())
    assert read is not None
    assert (read == pixels).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_of_any_depth_is_read_as_it_is_stored(tmp_path: Path, depth: int) -> None:
    """OpenCV spreads few bits over 0 to 255: of a mask of 0 and 1, all 1 would be void."""
    pixels = labels(*range(min(1 << depth, 5)))
    path = write_palette_png(tmp_path / "a.png", pixels, depth, colour_type=0)
    assert (read_label(path, indexed=True) == pixels).all()
    description = read_description(describe(tmp_path, 'classes = ["a", "b", "c", "d", "e"]') / "dataset.toml")
    assert (OwnLabels(description)(path) == pixels).all()


@pytest.mark.parametrize(("toml", "expected"), [("", 1), ("values = [0, 255]", 1), ("values = [1, 255]\nvoid = 0", 0)])
def test_one_bit_is_0_and_1_or_0_and_255_as_the_values_say(tmp_path: Path, toml: str, expected: int) -> None:
    path = write_palette_png(tmp_path / "a.png", labels(1), 1, colour_type=0)
    description = read_description(describe(tmp_path, f'classes = ["a", "b"]\n{toml}') / "dataset.toml")
    assert (OwnLabels(description)(path) == expected).all()


def test_other_files_are_left_to_opencv(tmp_path: Path) -> None:
    good = write_palette_png(tmp_path / "a.png", labels(0, 1), 8).read_bytes()
    assert palette_indices(write(tmp_path / "grey.png", labels(0, 1)).read_bytes()) is None
    assert palette_indices(write(tmp_path / "colour.png", image()).read_bytes()) is None
    for content in (b"", b"GIF89a", good[:20], good[:60], good[:-30]):
        assert palette_indices(content) is None


def test_results_of_hyperseg_run_are_labels_of_a_dataset(tmp_path: Path) -> None:
    camvid(tmp_path)
    given = labels(0, 5, 10, 11, 255)
    for path in (tmp_path / "trainannot").iterdir():
        path.write_bytes(label_png.encode(given, CAMVID_11.palette))
    assert (open_split(Layout.CAMVID, tmp_path, "train")[0].label == labels(0, 5, 10, 255, 255)).all()


def test_cityscapes_and_voc_with_palettes(tmp_path: Path) -> None:
    city = write(tmp_path / "leftImg8bit/val/bonn/b_leftImg8bit.png", image()).parents[2]
    ids = tmp_path / "gtFine" / "val" / "bonn" / "b_gtFine_labelIds.png"
    ids.parent.mkdir(parents=True)
    ids.write_bytes(label_png.encode(labels(7, 33, 0), CITYSCAPES.palette))
    assert (open_split(Layout.CITYSCAPES, city.parent, "val")[0].label == labels(0, 18, 255)).all()
    write(tmp_path / "JPEGImages" / "a.jpg", image())
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("a\n")
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "SegmentationClass" / "a.png").write_bytes(label_png.encode(labels(0, 20), VOC.palette))
    assert (open_split(Layout.VOC, tmp_path, "val")[0].label == labels(0, 20)).all()


def test_damage_is_named(tmp_path: Path) -> None:
    camvid(tmp_path)
    for path in (tmp_path / "trainannot").iterdir():
        path.write_bytes(label_png.encode(labels(3), CAMVID_11.palette)[:-40])
    with pytest.raises(DataError, match=r"trainannot/0\.png"):
        open_split(Layout.CAMVID, tmp_path, "train")[0]

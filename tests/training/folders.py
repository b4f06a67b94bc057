"""Small datasets on disk."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def write(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def image(height: int = 12, width: int = 16, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def labels(*values: int, height: int = 12, width: int = 16) -> Pixels:
    """Stripes of the given values."""
    return np.resize(np.array(values, np.uint8), (height, width))


def camvid(root: Path, count: int = 2) -> Path:
    for index in range(count):
        write(root / "train" / f"{index}.png", image())
        write(root / "trainannot" / f"{index}.png", labels(0, 5, 10, 11, 255))
    return root


def own(root: Path, toml: str = "", *, splits: tuple[str, ...] = ("train", "val"), count: int = 2) -> Path:
    """Data set of one's own with three classes: images/SPLIT/N.png, and labels/SPLIT/N.png of 0, 1, 2, 255."""
    for split in splits:
        for index in range(count):
            write(root / "images" / split / f"{index}.png", image(seed=len(split) * 100 + index))
            write(root / "labels" / split / f"{index}.png", labels(0, 1, 2, 255))
    return describe(root, toml)


def describe(root: Path, toml: str = "") -> Path:
    """Write dataset.toml; of three classes unless `toml` has others."""
    root.mkdir(parents=True, exist_ok=True)
    names = "" if "classes" in toml else 'classes = ["soil", "crop", "weed"]\n'
    (root / "dataset.toml").write_text(names + toml, encoding="utf-8")
    return root


def write_turned(path: Path, pixels: Pixels, orientation: int) -> Path:
    """Write a JPEG file with an EXIF orientation: one entry of type SHORT (EXIF 2.32, 4.6.2 and 4.6.4, tag 274)."""
    content = write(path, pixels).read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    path.write_bytes(content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[2:])
    return path

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


def image(height: int = 12, width: int = 16) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def labels(*values: int, height: int = 12, width: int = 16) -> Pixels:
    """Stripes of the given values."""
    return np.resize(np.array(values, np.uint8), (height, width))


def camvid(root: Path, count: int = 2) -> Path:
    for index in range(count):
        write(root / "train" / f"{index}.png", image())
        write(root / "trainannot" / f"{index}.png", labels(0, 5, 10, 11, 255))
    return root

"""Tileable fractal noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def fractal(size: int, octaves: int, rng: np.random.Generator) -> Field:
    """Value noise of several octaves, [size, size] from 0 to 1, that tiles."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = min(size, 4 << octave)
        coarse = rng.random((cells, cells), dtype=np.float32)
        wrapped = np.pad(coarse, 2, mode="wrap")
        step = size // cells
        large = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += large[2 * step : 2 * step + size, 2 * step : 2 * step + size] / 2**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low), np.float32)

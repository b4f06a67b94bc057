"""The pictures that an export is checked on: noise, one colour, and a street."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def test_pictures(height: int, width: int, seed: int = 0) -> list[Picture]:
    """RGB pictures uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    grey = np.full((height, width, 3), 114, dtype=np.uint8)
    return [blocks(height, width, rng), grey, street(height, width, seed)]


def street(height: int, width: int, seed: int) -> Picture:
    """The rendered street of `hyperseg_street`, as a camera of 640x480 sees it, stretched to the size."""
    from hyperseg_street import Street

    image = Street(seed=seed).frame(1.0).image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def blocks(height: int, width: int, rng: np.random.Generator, size: int = 32) -> Picture:
    """Squares of random colours under noise: edges and texture, yet nothing as harsh as white noise."""
    coarse = rng.standard_normal((-(-height // size), -(-width // size), 3))
    flat = coarse.repeat(size, axis=0).repeat(size, axis=1)[:height, :width]
    return _as_picture(flat + 0.5 * rng.standard_normal((height, width, 3)))


def clouds(height: int, width: int, rng: np.random.Generator) -> Picture:
    """Colour noise whose amplitude falls with frequency as 1/f, as in photographs."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.maximum(np.hypot(down, across), 1.0 / max(height, width))
    planes = []
    for _ in range(3):
        spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency
        plane = np.fft.irfft2(spectrum, (height, width))
        planes.append((plane - plane.mean()) / plane.std())
    return _as_picture(np.stack(planes, axis=-1))


def _as_picture(values: NDArray[np.float64]) -> Picture:
    """From mean 0 and standard deviation 1 to those of photographs."""
    picture: Picture = np.clip(values * 55.0 + 118.0, 0, 255).astype(np.uint8)
    return picture

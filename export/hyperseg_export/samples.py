"""Synthetic images and networks with random weights, for verification, benchmarks and tests."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Image = NDArray[np.uint8]


def sample_images(height: int, width: int, seed: int = 0) -> list[Image]:
    """RGB images uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    grey = np.full((height, width, 3), 114, dtype=np.uint8)
    return [blocks(height, width, rng), grey, street(height, width, seed)]


def street(height: int, width: int, seed: int) -> Image:
    """The rendered street of `hyperseg_street`, from a camera of 640x480, resized."""
    from hyperseg_street import Street

    image = Street(seed=seed).frame(1.0).image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def blocks(height: int, width: int, rng: np.random.Generator, size: int = 32) -> Image:
    """Squares of random colours under noise: edges and texture, less extreme than white noise."""
    coarse = rng.standard_normal((-(-height // size), -(-width // size), 3))
    flat = coarse.repeat(size, axis=0).repeat(size, axis=1)[:height, :width]
    return _as_image(flat + 0.5 * rng.standard_normal((height, width, 3)))


def clouds(height: int, width: int, rng: np.random.Generator) -> Image:
    """Colour noise whose amplitude falls with frequency as 1/f, as in photographs."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.maximum(np.hypot(down, across), 1.0 / max(height, width))
    planes = []
    for _ in range(3):
        spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency
        plane = np.fft.irfft2(spectrum, (height, width))
        planes.append((plane - plane.mean()) / plane.std())
    return _as_image(np.stack(planes, axis=-1))


def _as_image(values: NDArray[np.float64]) -> Image:
    """Scales from mean 0 and standard deviation 1 to those of photographs."""
    image: Image = np.clip(values * 55.0 + 118.0, 0, 255).astype(np.uint8)
    return image


_CALIBRATION_SIZE = (384, 512)
"""Height and width: a multiple of every preset's unit. Much smaller images leave statistics that others overturn."""


def random_network(preset: str, seed: int = 0) -> Any:
    """The preset with seeded weights, in evaluation mode.

    Freshly drawn weights shrink the signal layer by layer to nothing, and denormal numbers are slow; so the BatchNorms
    take their statistics from images, as in training, and their scales and shifts spread around 1 and 0.
    """
    import hyperseg

    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        network = hyperseg.create(preset)
        _calibrate(network)
    finally:
        torch.random.set_rng_state(state)
    return network.eval()


def _calibrate(network: nn.Module) -> None:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
    network.train()
    height, width = _CALIBRATION_SIZE
    samples = np.stack([*sample_images(height, width, seed=7), clouds(height, width, np.random.default_rng(7))])
    images = (torch.from_numpy(samples).permute(0, 3, 1, 2).float() / 255.0 - 0.45) / 0.225
    with torch.no_grad():
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum

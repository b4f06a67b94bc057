"""Networks with random weights whose values stay alive from end to end: for benchmarks and tests, not for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from hyperseg_export.pictures import clouds, test_pictures

_CALIBRATION_SIZE = (384, 512)
"""Height and width: a multiple of every preset's unit. Much smaller pictures leave statistics that others overturn."""


def random_network(preset: str, seed: int = 0) -> Any:
    """The preset with seeded weights, in evaluation mode.

    Freshly drawn weights shrink the signal layer by layer to nothing, and denormal numbers are slow; so the BatchNorms
    take their statistics from pictures, as in training, and their scales and shifts spread around 1 and 0.
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
    pictures = np.stack([*test_pictures(height, width, seed=7), clouds(height, width, np.random.default_rng(7))])
    images = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255.0 - 0.45) / 0.225
    with torch.no_grad():
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum

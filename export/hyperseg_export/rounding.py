"""How far rounding alone may move a network's logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.weight_mapper import WeightMapper

_UNIT = float(torch.finfo(torch.float32).eps)


@dataclass(frozen=True)
class Rounding:
    """Largest and mean absolute change of the logits."""

    largest: float
    mean: float


def measure_rounding(network: Any, images: Tensor, logits: Tensor, seed: int = 0) -> Rounding:
    """What one float32 unit in the last place of every layer's result does to the logits.

    Each channel of each layer is scaled by 1 + 2^-23 or 1 - 2^-23, a whole map alike: over a picture of one colour
    rounding errors are alike too, and averages do not remove them. It costs one run of the network, a fifth of one in
    float64, and no error of an export can make it larger: only the network is run.

    Args:
        network: with `forward_low`; it is left as it was.
        images: normalised, float32 [N, 3, H, W].
        logits: what the network makes of them, [N, C, h, w].
    """
    with torch.no_grad(), _disturbed(network, torch.Generator().manual_seed(seed)):
        change = (network.forward_low(images) - logits).abs_()
    return Rounding(float(change.max()), float(change.mean(dtype=torch.float64)))


@contextmanager
def _disturbed(network: nn.Module, generator: torch.Generator) -> Iterator[None]:
    def disturb(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        del module, inputs
        shape = [1, output.shape[1], *[1] * (output.dim() - 2)]
        signs = torch.randint(0, 2, shape, generator=generator) * 2 - 1
        return output * (1.0 + signs * _UNIT)

    layers = [module for module in network.modules() if _is_layer(module)]
    handles = [layer.register_forward_hook(disturb) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, WeightMapper):
        return True
    return not isinstance(module, nn.Identity) and next(module.children(), None) is None

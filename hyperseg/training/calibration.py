"""Statistics for BatchNorms that were folded (`hyperseg.checkpoint.onnx_file`), measured on images of a dataset."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hyperseg.layers import batchnorm_affine
from hyperseg.training.loss import ForwardLoss


class _Moments:
    """Mean and variance of the inputs of one BatchNorm, per channel, over all its batches."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.count = 0
        self.sums = torch.zeros(2, norm.num_features, dtype=torch.float64, device=norm.weight.device)

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)
        self.count += values.shape[1]
        self.sums += torch.stack([values.sum(1), values.square().sum(1)])

    def apply(self) -> None:
        """Give the BatchNorm these statistics, and the weight and bias that leave its function as it was."""
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale, shift = batchnorm_affine(norm, torch.float64)
        mean, square = self.sums / self.count
        variance = (square - mean.square()).clamp_min(0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * torch.sqrt(norm.running_var.double() + norm.eps))
        norm.bias.copy_(shift + norm.running_mean.double() * scale)


@torch.no_grad()
def calibrate(forward_loss: ForwardLoss, batches: Iterable[Tensor]) -> None:
    """Set the statistics of every BatchNorm to those of its inputs, in place; the network's outputs stay the same.

    Args:
        forward_loss: with the network, which is left in eval mode.
        batches: uint8 images [N, H, W, 3], heights and widths multiples of the network's unit.
    """
    network = forward_loss.network
    network.eval()
    decoder = network.get_submodule("decoder")
    decoder.training = True  # a decoder in eval mode folds its BatchNorms and never runs them
    moments = [_Moments(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [entry.norm.register_forward_pre_hook(entry) for entry in moments]
    try:
        for images in batches:
            forward_loss.logits(images)
    finally:
        for hook in hooks:
            hook.remove()
        network.eval()
    for entry in moments:
        if entry.count:
            entry.apply()

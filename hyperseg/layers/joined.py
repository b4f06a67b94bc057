"""1×1 convolutions of a map with a coarser one beside it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.layers.convolution import ConvBN


def spread(coarse: Tensor, fine: Tensor, scale: int) -> Tensor:
    """`coarse`, enlarged to the nearest pixels; with scale 0 it is one pixel, for all of `fine`."""
    if scale == 0:
        return coarse.expand(-1, -1, *fine.shape[2:])
    if scale == 1:
        return coarse
    return F.interpolate(coarse, scale_factor=float(scale), mode="nearest")


class SplitConv(nn.Module):
    """act(W · cat(fine, spread(coarse)) + b), computed as act(W_1 · fine + b + spread(W_2 · coarse)).

    Spreading only copies pixels, so both are the same up to rounding, and W_2 goes over the coarse map's few pixels.

    Args:
        block: a folded ConvBN with a 1×1 kernel.
        scale: of `spread`.
    """

    def __init__(self, block: ConvBN, fine_channels: int, scale: int) -> None:
        super().__init__()
        weight = block.conv.weight.detach()
        outputs, inputs = weight.shape[:2]
        self.scale = scale
        self.fine = nn.Conv2d(fine_channels, outputs, 1)
        self.coarse = nn.Conv2d(inputs - fine_channels, outputs, 1, bias=False)
        self.fine.weight = nn.Parameter(weight[:, :fine_channels].clone())
        self.coarse.weight = nn.Parameter(weight[:, fine_channels:].clone())
        self.fine.bias = block.conv.bias
        self.activation = block.activation

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """[N, C_1, H, W] and [N, C_2, H / scale, W / scale] -> [N, outputs, H, W]."""
        around = self.coarse(coarse)
        if self.scale > 0:
            around = spread(around, fine, self.scale)
        result: Tensor = self.activation(self.fine(fine) + around)
        return result


def convolve_joined(block: nn.Module, fine: Tensor, coarse: Tensor, scale: int) -> Tensor:
    """`block`, live or split, of `fine` and of `coarse` spread to its size."""
    if isinstance(block, SplitConv):
        joined: Tensor = block(fine, coarse)
    else:
        joined = block(torch.cat([fine, spread(coarse, fine, scale)], dim=1))
    return joined

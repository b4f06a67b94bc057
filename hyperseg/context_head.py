"""The context head h: last feature map -> signal φ (paper, Eq. 2, Fig. 2c)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.layers.convolution import ConvBN


def _global_context(x: Tensor) -> Tensor:
    """The average over the whole map, at every pixel."""
    return x.mean((2, 3), keepdim=True).expand_as(x)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class NestedContextHead(nn.Module):
    """The nested U-Net on half the channels; φ = cat(a, u) has as many channels as the input (v0_2, v1_0, unify).

    Args:
        channels: C of the input and of φ.
        levels: resolutions inside; 2 means one step down and up.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        half = channels // 2
        self.inner = ConvBN(channels, half, activation=nn.ReLU)
        self.down = nn.ModuleList(ConvBN(half, half, 2, 2, activation=nn.ReLU) for _ in range(levels - 1))
        self.up = nn.ModuleList(ConvBN(channels, half, activation=nn.ReLU) for _ in range(levels - 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H/32, W/32] -> φ of the same shape."""
        maps = [self.inner(x)]
        for down in self.down:
            maps.append(down(maps[-1]))
        context = _global_context(maps[-1])
        for index in range(len(self.up) - 1, -1, -1):
            context = _upsample(self.up[index](torch.cat([maps.pop(), context], dim=1)))
        return torch.cat([maps.pop(), context], dim=1)


class FullContextHead(nn.Module):
    """The nested U-Net on all channels, the lowest map replaced by its average (v0_1)."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(ConvBN(channels, channels, 2, 2, activation=nn.ReLU) for _ in range(levels - 1))
        self.flat = nn.ModuleList(
            ConvBN(2 * channels, channels, activation=nn.ReLU if level else None) for level in range(levels - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H/32, W/32] -> φ of the same shape."""
        maps = [x]
        for down in self.down:
            maps.append(down(maps[-1]))
        if len(maps) == 1:
            return x
        context = _global_context(maps.pop())
        for index in range(len(self.flat) - 1, -1, -1):
            context = self.flat[index](torch.cat([maps.pop(), _upsample(context)], dim=1))
        return context

"""Context heads h: last feature map -> signal φ (paper, Eq. 2, Fig. 2c)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.layers import ConvBN

_GLOBAL, _SAME, _HALF = 0, 1, 2
"""Scales of `spread`: the coarse map is a global average, has the same size, or half the size."""


def spread(coarse: Tensor, fine: Tensor, scale: int) -> Tensor:
    """Upsample `coarse` to the size of `fine` by nearest neighbour; with scale 0 it is one pixel that is broadcast."""
    if scale == 0:
        return coarse.expand(-1, -1, *fine.shape[2:])
    if scale == 1:
        return coarse
    return F.interpolate(coarse, scale_factor=float(scale), mode="nearest")


class SplitConv(nn.Module):
    """1×1 convolution of cat(fine, spread(coarse)), computed as act(W_1 · fine + b + spread(W_2 · coarse)).

    Nearest-neighbour upsampling only copies pixels, so the result is the same up to rounding, while W_2 runs on the
    few pixels of the coarse map.

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
    """Apply `block`, a ConvBN or its SplitConv, to `fine` and to `coarse` upsampled to its size."""
    if isinstance(block, SplitConv):
        joined: Tensor = block(fine, coarse)
    else:
        joined = block(torch.cat([fine, spread(coarse, fine, scale)], dim=1))
    return joined


def _average(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


class NestedContextHead(nn.Module):
    """Nested U-Net on half the channels; φ = cat(a, u) has as many channels as the input (v0_2, v1_0, unify).

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
        context = _average(maps[-1])
        if not self.up:
            context = spread(context, maps[-1], _GLOBAL)
        for index in range(len(self.up) - 1, -1, -1):
            merged = convolve_joined(self.up[index], maps.pop(), context, self._scale(index))
            context = spread(merged, merged, _HALF)
        return torch.cat([maps.pop(), context], dim=1)

    def split(self) -> None:
        """Replace folded convolutions of concatenated maps by `SplitConv`, in place."""
        for index, block in enumerate(self.up):
            assert isinstance(block, ConvBN)
            if self._scale(index) == _GLOBAL:
                self.up[index] = SplitConv(block, block.conv.in_channels // 2, _GLOBAL)

    def _scale(self, index: int) -> int:
        return _GLOBAL if index == len(self.up) - 1 else _SAME


class FullContextHead(nn.Module):
    """Nested U-Net on all channels, with the lowest map replaced by its average (v0_1)."""

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
        context = _average(maps.pop())
        for index in range(len(self.flat) - 1, -1, -1):
            context = convolve_joined(self.flat[index], maps.pop(), context, self._scale(index))
        return context

    def split(self) -> None:
        """Replace folded convolutions of concatenated maps by `SplitConv`, in place."""
        for index, block in enumerate(self.flat):
            assert isinstance(block, ConvBN)
            self.flat[index] = SplitConv(block, block.conv.in_channels // 2, self._scale(index))

    def _scale(self, index: int) -> int:
        return _GLOBAL if index == len(self.flat) - 1 else _HALF

"""The context head h: last feature map -> signal φ (paper, Eq. 2, Fig. 2c)."""

import torch
from torch import Tensor, nn

from hyperseg.layers.convolution import ConvBN
from hyperseg.layers.joined import SplitConv, convolve_joined, spread

_GLOBAL, _SAME, _HALF = 0, 1, 2
"""What stands beside a map (the `scale` of `spread`): one average, a map of its size, or of half its size."""


def _average(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


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
        context = _average(maps[-1])
        if not self.up:
            context = spread(context, maps[-1], _GLOBAL)
        for index in range(len(self.up) - 1, -1, -1):
            beside = convolve_joined(self.up[index], maps.pop(), context, self._scale(index))
            context = spread(beside, beside, _HALF)
        return torch.cat([maps.pop(), context], dim=1)

    def split(self) -> None:
        """Takes the folded convolutions of joined maps apart, in place."""
        for index, block in enumerate(self.up):
            assert isinstance(block, ConvBN)
            if self._scale(index) == _GLOBAL:
                self.up[index] = SplitConv(block, block.conv.in_channels // 2, _GLOBAL)

    def _scale(self, index: int) -> int:
        return _GLOBAL if index == len(self.up) - 1 else _SAME


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
        context = _average(maps.pop())
        for index in range(len(self.flat) - 1, -1, -1):
            context = convolve_joined(self.flat[index], maps.pop(), context, self._scale(index))
        return context

    def split(self) -> None:
        """Takes the folded convolutions of joined maps apart, in place."""
        for index, block in enumerate(self.flat):
            assert isinstance(block, ConvBN)
            self.flat[index] = SplitConv(block, block.conv.in_channels // 2, self._scale(index))

    def _scale(self, index: int) -> int:
        return _GLOBAL if index == len(self.flat) - 1 else _HALF

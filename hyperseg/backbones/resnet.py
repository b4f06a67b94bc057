"""ResNet (He et al., 2016) and undilated PSPNet (Zhao et al., 2017) as encoders: the ablation of paper Tab. 4."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbones.catalogue import Backbone, Family
from hyperseg.layers import ConvBN

_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
_PYRAMID_BINS = (1, 2, 3, 6)


class ResidualBlock(nn.Module):
    """Residual block of two 3×3 convolutions, or with `bottleneck` 1×1, 3×3, 1×1; ReLU after the sum.

    Args:
        inputs, outputs: channels.
        stride: of the first (bottleneck: the only) 3×3 convolution and the shortcut.
        bottleneck: a quarter of the channels inside.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        pad = (1, 1, 1, 1)
        if bottleneck:
            inner = outputs // 4
            convolutions = [
                ConvBN(inputs, inner, activation=nn.ReLU),
                ConvBN(inner, inner, 3, stride, padding=pad, activation=nn.ReLU),
                ConvBN(inner, outputs),
            ]
        else:
            convolutions = [
                ConvBN(inputs, outputs, 3, stride, padding=pad, activation=nn.ReLU),
                ConvBN(outputs, outputs, 3, padding=pad),
            ]
        self.convs = nn.Sequential(*convolutions)
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else ConvBN(inputs, outputs, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return F.relu(self.convs(x) + self.shortcut(x))


class PyramidPooling(nn.Module):
    """Pyramid pooling: cat(x, averages over 1, 2, 3 and 6 bins, reduced to a quarter of the channels and upsampled)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(ConvBN(channels, channels // 4, activation=nn.ReLU) for _ in _PYRAMID_BINS)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, 2·C, H, W]."""
        maps = [x]
        for bins, reduce in zip(_PYRAMID_BINS, self.reduce, strict=True):
            pooled = reduce(F.adaptive_avg_pool2d(x, bins))
            maps.append(F.interpolate(pooled, size=x.shape[-2:], mode="bilinear", align_corners=True))
        return torch.cat(maps, dim=1)


class ResNet(nn.Module):
    """ResNet or PSPNet as the encoder b of paper Eq. 1.

    F_1 is the stem (stride 2), F_2..F_5 are the four stages. A 1×1 layer brings the last map, behind PSPNet's pyramid
    pooling, to the channels of the context head (paper, "a fully connected layer").
    """

    def __init__(self, shape: Backbone, out_feat_scale: tuple[float, ...]) -> None:
        super().__init__()
        bottleneck = shape.depth >= 50
        self.stem = _deep_stem(shape.stem) if shape.deep_stem else _stem(shape.stem)
        self.stages = nn.ModuleList()
        inputs = shape.stem
        for index, count in enumerate(_BLOCKS[shape.depth]):
            outputs = shape.features[index + 1]
            first = ResidualBlock(inputs, outputs, 1 if index == 0 else 2, bottleneck)
            others = [ResidualBlock(outputs, outputs, 1, bottleneck) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(first, *others))
            inputs = outputs
        self.reduce = nn.ModuleList(
            nn.Identity() if scale == 1 else ConvBN(c, round(c * scale))
            for c, scale in zip(shape.features, out_feat_scale, strict=True)
        )
        pyramid = shape.family is Family.PSPNET
        self.pyramid: nn.Module = PyramidPooling(inputs) if pyramid else nn.Identity()
        self.head = ConvBN(2 * inputs if pyramid else inputs, shape.head, activation=nn.ReLU)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """[N, 3, H, W] -> reduced F_1..F_5 (strides 2 to 32) and the head's map at stride 32."""
        x = self.stem(images)
        features = [self.reduce[0](x)]
        x = F.max_pool2d(x, 3, 2, 1)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            features.append(self.reduce[index + 1](x))
        return features, self.head(self.pyramid(x))


def _stem(channels: int) -> nn.Sequential:
    return nn.Sequential(ConvBN(3, channels, 7, 2, padding=(3, 3, 3, 3), activation=nn.ReLU))


def _deep_stem(channels: int) -> nn.Sequential:
    half, pad = channels // 2, (1, 1, 1, 1)
    return nn.Sequential(
        ConvBN(3, half, 3, 2, padding=pad, activation=nn.ReLU),
        ConvBN(half, half, 3, padding=pad, activation=nn.ReLU),
        ConvBN(half, channels, 3, padding=pad, activation=nn.ReLU),
    )

"""EfficientNet and EfficientNet-Lite as encoders (Tan and Le, 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbones.catalogue import Backbone, Family, Stage
from hyperseg.layers import ConvBN, same_padding

_EPS = 1e-3
_MOMENTUM = 0.01


class SqueezeExcite(nn.Module):
    """Channel attention: x · sigmoid(expand(SiLU(reduce(mean(x)))))."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        attention = self.expand(F.silu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(attention)


class MBConv(nn.Module):
    """Inverted residual block: expand 1×1, depth-wise k×k, squeeze-excite, project 1×1; residual if shapes agree.

    Args:
        inputs: channels.
        stage: the block's kernel, expansion and output channels.
        stride: the stage's for its first block, else 1.
        size: nominal height and width of its input, for the static padding.
        lite: ReLU6 and no squeeze-excite.
        drop: probability that training leaves the block out for an image (stochastic depth).
    """

    def __init__(self, inputs: int, stage: Stage, stride: int, size: int, lite: bool, drop: float) -> None:
        super().__init__()
        outputs, kernel, hidden = stage.channels, stage.kernel, inputs * stage.expand
        activation = nn.ReLU6 if lite else nn.SiLU
        self.drop = drop
        self.residual = stride == 1 and inputs == outputs
        self.expand: nn.Module = nn.Identity()
        if stage.expand != 1:
            self.expand = ConvBN(inputs, hidden, activation=activation, eps=_EPS, momentum=_MOMENTUM)
        self.depthwise = ConvBN(
            hidden,
            hidden,
            kernel,
            stride,
            groups=hidden,
            padding=same_padding(size, kernel, stride),
            activation=activation,
            eps=_EPS,
            momentum=_MOMENTUM,
        )
        self.attention: nn.Module = nn.Identity() if lite else SqueezeExcite(hidden, max(1, inputs // 4))
        self.project = ConvBN(hidden, outputs, eps=_EPS, momentum=_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        result: Tensor = self.project(self.attention(self.depthwise(self.expand(x))))
        if not self.residual:
            return result
        if self.training and self.drop:
            keep = torch.rand((x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device) >= self.drop
            result = result * keep / (1 - self.drop)
        return result + x


class EfficientNet(nn.Module):
    """EfficientNet as the encoder b of paper Eq. 1.

    Args:
        shape: channels and stages.
        out_feat_scale: reduction of F_1..F_5; 1.0 means no layer.
        drop_connect, dropout: in training.
    """

    def __init__(
        self, shape: Backbone, out_feat_scale: tuple[float, ...], drop_connect: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        lite = shape.family is Family.EFFICIENTNET_LITE
        activation = nn.ReLU6 if lite else nn.SiLU
        self.dropout = dropout
        padding = same_padding(shape.nominal_size, 3, 2)
        self.stem = ConvBN(3, shape.stem, 3, 2, 1, padding, activation, _EPS, _MOMENTUM)
        self.blocks = nn.ModuleList()
        self.taps: list[int] = []
        size, inputs, total = -(-shape.nominal_size // 2), shape.stem, sum(stage.repeats for stage in shape.stages)
        for index, stage in enumerate(shape.stages):
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                drop = drop_connect * len(self.blocks) / total
                self.blocks.append(MBConv(inputs, stage, stride, size, lite, drop))
                size, inputs = -(-size // stride), stage.channels
            if index + 1 == len(shape.stages) or shape.stages[index + 1].stride == 2:
                self.taps.append(len(self.blocks) - 1)
        self.reduce = nn.ModuleList(
            nn.Identity() if scale == 1 else ConvBN(c, round(c * scale), eps=_EPS, momentum=_MOMENTUM)
            for c, scale in zip(shape.features, out_feat_scale, strict=True)
        )
        self.head = ConvBN(inputs, shape.head, activation=activation, eps=_EPS, momentum=_MOMENTUM)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """[N, 3, H, W] -> reduced F_1..F_5 (strides 2 to 32) and the head's map at stride 32."""
        x = self.stem(images)
        features: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                features.append(self.reduce[len(features)](x))
        return features, F.dropout(self.head(x), self.dropout, self.training)

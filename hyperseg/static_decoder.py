"""Decoder without dynamic convolutions: the ablation "w/o DPWConv" of paper Tab. 4."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.config import Config
from hyperseg.layers import ConvBN
from hyperseg.operators.reference import compose
from hyperseg.shapes import LevelShape


class StaticLevel(nn.Module):
    """Decoder level of regular convolutions: 1×1, or the inverted residual block of paper Fig. 3(a).

    Args:
        shape: the sizes of the dynamic level that it replaces.
        context: channels of φ that join its input.
    """

    def __init__(self, shape: LevelShape, context: int) -> None:
        super().__init__()
        inputs = shape.inputs + context
        self.residual = bool(shape.hidden) and inputs == shape.outputs
        self.radius = shape.kernel // 2
        if shape.hidden:
            self.pw1: nn.Module = ConvBN(inputs, shape.hidden, activation=nn.ReLU6)
            self.dw: nn.Module = ConvBN(
                shape.hidden, shape.hidden, shape.kernel, groups=shape.hidden, activation=nn.ReLU6
            )
            self.pw2: nn.Module = ConvBN(shape.hidden, shape.outputs)
        else:
            self.pw1 = ConvBN(inputs, shape.outputs, activation=nn.ReLU)
            self.dw = self.pw2 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Composed input [N, inputs, H, W] -> [N, outputs, H, W]."""
        hidden = self.pw1(x)
        if self.radius:
            hidden = F.pad(hidden, (self.radius,) * 4, mode="reflect")
        result: Tensor = self.pw2(self.dw(hidden))
        return result + x if self.residual else result


class StaticDecoder(nn.Module):
    """Static decoder levels; φ is concatenated to the input of the coarsest, since no weights are generated from it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        context = config.backbone_shape.head
        self.levels = nn.ModuleList(StaticLevel(shape, 0 if shape.index else context) for shape in config.levels)

    def forward(self, image: Tensor, features: Sequence[Tensor], signal: Tensor) -> Tensor:
        """Image [N, 3, H, W], F_1..F_5 and φ -> logits of the finest level."""
        output: Tensor | None = None
        for level, skip in zip(self.levels, [*reversed(features), image], strict=False):
            composed = compose(skip, output, with_coordinates=True)
            output = level(torch.cat([composed, signal], dim=1) if output is None else composed)
        assert output is not None
        return output

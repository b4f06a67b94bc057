"""Layers shared by encoders, context heads and decoders: convolution with BatchNorm, and the arithmetic of folding."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Padding = tuple[int, int, int, int]


def same_padding(size: int, kernel: int, stride: int) -> Padding:
    """TensorFlow's SAME padding (left, right, top, bottom) for a square input; an odd pixel goes right and below."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return (total // 2, total - total // 2) * 2


class ConvBN(nn.Module):
    """Convolution without bias, BatchNorm, and an activation.

    Args:
        inputs, outputs: channels.
        kernel, stride, groups: of the convolution.
        padding: zeros at (left, right, top, bottom).
        activation: a module factory, or None.
        eps, momentum: of the BatchNorm.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: Padding = (0, 0, 0, 0),
        activation: Callable[[], nn.Module] | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        left, right, top, bottom = padding
        symmetric = left == right and top == bottom
        self.pad: Padding | None = None if symmetric else padding
        built_in = (top, left) if symmetric else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, built_in, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=eps, momentum=momentum)
        self.activation: nn.Module = nn.Identity() if activation is None else activation()

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H', W']."""
        if self.pad is not None:
            x = F.pad(x, self.pad)
        result: Tensor = self.activation(self.norm(self.conv(x)))
        return result


def batchnorm_affine(norm: nn.Module, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Scale and shift [C] of a BatchNorm or SyncBatchNorm on its running statistics: y = scale · x + shift.

    Differentiable in weight and bias; computed in `dtype`, by default that of the parameters.
    """
    assert isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    dtype = dtype or norm.weight.dtype
    scale = norm.weight.to(dtype) / torch.sqrt(norm.running_var.to(dtype) + norm.eps)
    return scale, norm.bias.to(dtype) - norm.running_mean.to(dtype) * scale


def replace_modules(model: nn.Module, replacement: Callable[[str, nn.Module], nn.Module | None]) -> None:
    """Replace submodules in place: those for which `replacement(name, module)` does not return None.

    A replacement has to hold the parameters and buffers of its original, so that the state dict keeps its names. The
    model itself is not replaced.
    """
    for name, module in list(model.named_modules()):
        replaced = replacement(name, module) if name else None
        if replaced is not None:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, replaced)

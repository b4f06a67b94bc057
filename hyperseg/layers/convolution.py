"""Convolution + BatchNorm + activation, the unit of encoder and context head, and the unit that folding rewrites."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

Padding = tuple[int, int, int, int]


def same_padding(size: int, kernel: int, stride: int) -> Padding:
    """TensorFlow's SAME padding (left, right, top, bottom) of a square image: the odd pixel goes right and below."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return (total // 2, total - total // 2) * 2


class ConvBN(nn.Module):
    """A convolution without bias, BatchNorm, and an activation.

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

"""One forward pass from bytes to the loss: the module that several processes wrap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.training.loss import SegmentationLoss
from hyperseg.training.recipe import Precision


class ForwardLoss(nn.Module):
    """Normalises pictures, runs the network as far as its finest level, and returns the loss."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        loss: SegmentationLoss,
        mean: Sequence[float],
        std: Sequence[float],
        compute: torch.dtype,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.compute = compute
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] RGB to float logits [N, C, H/s, W/s], s the network's output stride."""
        with torch.autocast(images.device.type, self.compute, enabled=self.compute != torch.float32):
            normal = (images.permute(0, 3, 1, 2) - self.mean) / self.std
            low = self.network.forward_low(normal)  # type: ignore[operator]
        assert isinstance(low, Tensor)
        return low

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of uint8 pictures [N, H, W, 3] with uint8 labels [N, H, W]."""
        loss = self.loss(self.logits(images), labels)
        assert isinstance(loss, Tensor)
        return loss


def compute_type(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that a precision means on a device."""
    if precision is Precision.AUTO:
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        fast = torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return {
        Precision.FLOAT32: torch.float32,
        Precision.BFLOAT16: torch.bfloat16,
        Precision.FLOAT16: torch.float16,
    }[precision]

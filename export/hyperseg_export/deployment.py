"""The network as a device sees it: pictures in, labels out, with nothing left to do around it."""

from __future__ import annotations

from typing import Any

import torch
from hyperseg_runtime.metadata import InputType, OutputKind
from torch import Tensor, nn
from torch.nn import functional as F


class Deployment(nn.Module):
    """Normalisation, network, upsampling and arg max as one module, the way it is exported.

    Input: uint8 RGB [N, H, W, 3], or normalised float32 [N, 3, H, W]. Output: labels uint8 [N, H, W], logits float32
    [N, C, H, W], or both, whatever the type that the network computes in.

    Args:
        network: has `forward_low` and `config`, as the models of `hyperseg` have.
        fused_end: upsampling and arg max as our one operator, which never makes logits of full size.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: Any,
        input_type: InputType = InputType.UINT8,
        output: OutputKind = OutputKind.LABELS,
        dtype: torch.dtype = torch.float32,
        fused_end: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self._input_type = input_type
        self._output = output
        self._dtype = dtype
        self._fused_end = fused_end
        self._stride = int(network.config.output_stride)
        scale = [1.0 / (255.0 * std) for std in network.config.std]
        shift = [-mean / std for mean, std in zip(network.config.mean, network.config.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        low = self.network.forward_low(self._normalised(image).to(self._dtype))
        if self._output is OutputKind.LABELS:
            return self._labels(low)
        logits = self._upsampled(low.float())
        return logits if self._output is OutputKind.LOGITS else (self._labels(low), logits)

    def _normalised(self, image: Tensor) -> Tensor:
        if self._input_type is InputType.FLOAT:
            return image
        return image.permute(0, 3, 1, 2).float() * self.scale + self.shift

    def _labels(self, low: Tensor) -> Tensor:
        if self._fused_end:
            labels: Tensor = torch.ops.hyperseg.upsample_argmax(low, self._stride)
        else:
            labels = self._upsampled(low).argmax(dim=1)
        return labels.to(torch.uint8)

    def _upsampled(self, low: Tensor) -> Tensor:
        if self._stride == 1:
            return low
        return F.interpolate(low, scale_factor=float(self._stride), mode="bilinear", align_corners=False)

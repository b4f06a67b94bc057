"""Faster training steps that compute the same function, chosen for the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.layers.convolution import ConvBN


def suit_to_device(model: nn.Module, device: torch.device, compute: torch.dtype) -> None:
    """Rewrite, in place, the convolutions whose usual form is slow; names and values of the weights stay.

    - A BatchNorm that keeps its statistics in training is an affine map: its factor goes into the convolution's weights,
      which saves a pass over the activations forward and two backward. Gradients are those of the separate layers.
    - On CPUs, oneDNN's bfloat16 gradient of depth-wise convolutions takes five times as long as its float32 one.
    """
    model.to(memory_format=torch.channels_last)
    mixed = device.type == "cpu" and compute == torch.bfloat16
    for module in model.modules():
        if type(module) is ConvBN and isinstance(module.norm, nn.BatchNorm2d):
            if not module.norm.training and module.norm.track_running_stats:
                module.__class__ = FrozenUnit
            if mixed and module.conv.groups == module.conv.in_channels > 1:
                module.conv.__class__ = MixedDepthwise


class FrozenUnit(ConvBN):
    """`ConvBN` with frozen statistics: the BatchNorm's factor multiplies the weights, its shift is the bias."""

    def forward(self, x: Tensor) -> Tensor:
        norm, conv = self.norm, self.conv
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        if self.pad is not None:
            x = functional.pad(x, self.pad)
        factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        result = convolve(conv, x, conv.weight * factor.view(-1, 1, 1, 1), norm.bias - norm.running_mean * factor)
        activated: Tensor = self.activation(result)
        return activated


class MixedDepthwise(nn.Conv2d):
    """A depth-wise convolution that runs in the autocast type forward and in float32 backward."""

    def forward(self, input: Tensor) -> Tensor:
        return convolve(self, input, self.weight, self.bias)


def convolve(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`conv` with other weights; asymmetric zero padding must have been applied."""
    if isinstance(conv, MixedDepthwise) and torch.is_grad_enabled():
        result: Tensor = _DepthwiseMixed.apply(x, weight, bias, conv.stride, conv.padding)
        return result
    return functional.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


class _DepthwiseMixed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.biased = stride, padding, bias is not None
        low = None if bias is None else bias.to(torch.bfloat16)
        return functional.conv2d(
            x.to(torch.bfloat16), weight.to(torch.bfloat16), low, stride, padding, groups=weight.shape[0]
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        channels = weight.shape[0]
        d_x, d_weight, d_bias = torch.ops.aten.convolution_backward(
            gradient.float(),
            x.float(),
            weight,
            [channels] if ctx.biased else None,
            ctx.stride,
            ctx.padding,
            (1, 1),
            False,
            (0, 0),
            channels,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.biased],
        )
        return None if d_x is None else d_x.to(x.dtype), d_weight, d_bias, None, None

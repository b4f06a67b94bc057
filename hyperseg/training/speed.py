"""Faster training steps that compute the same function, chosen for the device."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.layers.convolution import ConvBN


def freeze_norms(model: nn.Module, names: Collection[str]) -> None:
    """Let the BatchNorms whose weights are named use their running statistics in training as well."""
    for name, module in model.named_modules():
        if type(module) is ConvBN and f"{name}.norm.weight" in names:
            module.__class__ = FrozenUnit


def suit_to_device(model: nn.Module, device: torch.device, compute: torch.dtype) -> None:
    """Rewrite, in place, the convolutions whose usual form is slow; names and values of the weights stay.

    On CPUs, oneDNN's bfloat16 gradient of depth-wise convolutions takes five times as long as its float32 one.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mixed = device.type == "cpu" and compute == torch.bfloat16
    for module in model.modules():
        if mixed and isinstance(module, ConvBN) and module.conv.groups == module.conv.in_channels > 1:
            module.conv.__class__ = MixedDepthwise


class FrozenUnit(ConvBN):
    """`ConvBN` with frozen statistics, which make its BatchNorm an affine map: a factor on the weights, and a bias.

    That saves a pass over the activations forward and two backward; gradients are those of the separate layers.
    """

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        norm: Any = self.norm
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
        result: Tensor = _DepthwiseMixed.apply(x, weight, bias, conv.stride, conv.padding)  # type: ignore[no-untyped-call]
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
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

"""Layers that compute the same function faster in training, chosen for the device."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.layers import ConvBN, batchnorm_affine, replace_modules

_TILE = 3


def freeze_batchnorm(model: nn.Module, names: Collection[str]) -> None:
    """Replace, in place, every BatchNorm whose weight is named by one with frozen statistics; a ConvBN as a whole."""

    def frozen(name: str, module: nn.Module) -> nn.Module | None:
        if type(module) is ConvBN and f"{name}.norm.weight" in names:
            return FrozenConvBN(module)
        if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and f"{name}.weight" in names:
            return None if name.endswith(".norm") else FrozenBatchNorm(module)  # a ConvBN's goes with it
        return None

    replace_modules(model, frozen)


def optimise_for_device(model: nn.Module, device: torch.device, compute: torch.dtype) -> None:
    """Use the memory format and the convolutions that are fast on a device; the state dict keeps names and values.

    On CPUs, oneDNN's bfloat16 gradient of depth-wise convolutions takes five times as long as its float32 one.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device.type == "cpu" and compute == torch.bfloat16:
        replace_modules(model, _mixed_depthwise)


def _mixed_depthwise(_: str, module: nn.Module) -> nn.Module | None:
    if type(module) is nn.Conv2d and module.groups == module.in_channels > 1:
        return MixedDepthwiseConv(module)
    return None


class FrozenBatchNorm(nn.BatchNorm2d):
    """BatchNorm on running statistics in training as well, for those of decoder levels.

    Args:
        norm: the BatchNorm whose parameters and buffers it takes over.
    """

    def __init__(self, norm: nn.BatchNorm2d | nn.SyncBatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        return functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


class FrozenConvBN(ConvBN):
    """`ConvBN` on running statistics in training as well: its BatchNorm becomes a factor of the weights, and a bias.

    That saves a pass over the activations forward and two backward; gradients are those of the separate layers.

    Args:
        block: the ConvBN whose layers it takes over.
    """

    def __init__(self, block: ConvBN) -> None:
        nn.Module.__init__(self)
        self.pad = block.pad
        self.conv, self.norm, self.activation = block.conv, block.norm, block.activation
        self.train(block.training)

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is not None:
            x = functional.pad(x, self.pad)
        scale, bias = batchnorm_affine(self.norm)
        result = convolve(self.conv, x, self.conv.weight * scale.view(-1, 1, 1, 1), bias)
        activated: Tensor = self.activation(result)
        return activated


class MixedDepthwiseConv(nn.Conv2d):
    """Depth-wise convolution in the autocast type forward and in float32 backward.

    Args:
        conv: the convolution whose weight and bias it takes over.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        geometry: dict[str, Any] = {
            name: getattr(conv, name)
            for name in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
        }
        super().__init__(conv.in_channels, conv.out_channels, bias=conv.bias is not None, device="meta", **geometry)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, input: Tensor) -> Tensor:
        return convolve(self, input, self.weight, self.bias)


def convolve(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply `conv` with other weights; asymmetric zero padding must have been applied."""
    if isinstance(conv, MixedDepthwiseConv) and torch.is_grad_enabled():
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
        kind, channels = x.dtype, weight.shape[0]
        x, gradient = x.float(), gradient.float()
        tiled = ctx.needs_input_grad[1] and weight.shape[-1] > _TILE
        d_x, d_weight, d_bias = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            [channels] if ctx.biased else None,
            ctx.stride,
            ctx.padding,
            (1, 1),
            False,
            (0, 0),
            channels,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1] and not tiled, ctx.biased and not tiled],
        )
        if tiled:
            d_weight = weight_gradient_by_tiles(x, gradient, weight.shape[-1], ctx.stride, ctx.padding)
            d_bias = gradient.sum((0, 2, 3)) if ctx.biased else None  # oneDNN would make the weights' as well
        return None if d_x is None else d_x.to(kind), d_weight, d_bias, None, None


def weight_gradient_by_tiles(
    x: Tensor, gradient: Tensor, kernel: int, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Compute the weight gradient [C, 1, k, k] of a depth-wise convolution, 3×3 taps at a time.

    oneDNN's gradient of a 5×5 kernel takes ten times as long as that of a 3×3; four of the latter cover it.
    """
    channels, (height, width) = x.shape[1], gradient.shape[2:]
    tiles = -(-kernel // _TILE)
    spare = tiles * _TILE - kernel  # taps of the last tiles that the kernel does not have
    padded = functional.pad(x, (padding[1], padding[1] + spare, padding[0], padding[0] + spare))
    taps = x.new_empty(channels, 1, tiles * _TILE, tiles * _TILE)
    shape = x.new_empty(channels, 1, _TILE, _TILE)
    for top, left in itertools.product(range(0, kernel, _TILE), repeat=2):
        rows = slice(top, top + (height - 1) * stride[0] + _TILE)
        columns = slice(left, left + (width - 1) * stride[1] + _TILE)
        window = padded[:, :, rows, columns].contiguous(memory_format=torch.channels_last)
        taps[:, :, top : top + _TILE, left : left + _TILE] = torch.ops.aten.convolution_backward(
            gradient, window, shape, None, stride, (0, 0), (1, 1), False, (0, 0), channels, [False, True, False]
        )[1]
    return taps[:, :, :kernel, :kernel]

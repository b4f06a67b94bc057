"""Registration of the operators with PyTorch: schemas, kernels, fake kernels and gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from hyperseg.operators import composite, cuda
from hyperseg.operators.contract import check_scale, dpw_conv_outputs, dpw_inverted_residual_outputs

_LIBRARY = torch.library.Library("hyperseg", "DEF")
_LIBRARY.define(
    "dpw_conv(Tensor x, Tensor theta, Tensor? bias=None, Tensor? previous=None, int[] kernel_shape=[1, 1], "
    "int group=1, str activation='none', int offset=0, int coordinates=0) -> Tensor"
)
_LIBRARY.define(
    "dpw_inverted_residual(Tensor x, Tensor theta, Tensor bias1, Tensor bias2, Tensor bias3, Tensor? previous=None, "
    "int[] kernel_shape=[3, 3], int offset=0, int coordinates=0) -> Tensor"
)
_LIBRARY.define("upsample_argmax(Tensor x, int scale) -> Tensor")


def _dpw_conv_fake(
    x: Tensor,
    theta: Tensor,
    bias: Tensor | None = None,
    previous: Tensor | None = None,
    kernel_shape: Sequence[int] = (1, 1),
    group: int = 1,
    activation: str = "none",
    offset: int = 0,
    coordinates: int = 0,
) -> Tensor:
    outputs = dpw_conv_outputs(x, theta, bias, previous, kernel_shape, group, activation, offset, coordinates, 0)
    return x.new_empty((x.shape[0], outputs, x.shape[2], x.shape[3]))


def _dpw_inverted_residual_fake(
    x: Tensor,
    theta: Tensor,
    bias1: Tensor,
    bias2: Tensor,
    bias3: Tensor,
    previous: Tensor | None = None,
    kernel_shape: Sequence[int] = (3, 3),
    offset: int = 0,
    coordinates: int = 0,
) -> Tensor:
    biases = (bias1, bias2, bias3)
    outputs = dpw_inverted_residual_outputs(x, theta, biases, previous, kernel_shape, offset, coordinates)
    return x.new_empty((x.shape[0], outputs, x.shape[2], x.shape[3]))


def _upsample_argmax_fake(x: Tensor, scale: int) -> Tensor:
    check_scale(x, scale)
    return x.new_empty((x.shape[0], x.shape[2] * scale, x.shape[3] * scale), dtype=torch.int32)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    ctx.save_for_backward(*tensors)
    ctx.arguments = [None if isinstance(value, Tensor) else value for value in inputs]
    ctx.is_tensor = [isinstance(value, Tensor) for value in inputs]


def _backward(forward: Callable[..., Tensor]) -> Callable[..., tuple[Tensor | None, ...]]:
    """Gradient by recomputing `forward`: only the inputs are kept between the passes."""

    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # The dispatcher drops trailing arguments that equal their defaults, so the mask may be short.
        mask = [*ctx.needs_input_grad, *[False] * (len(ctx.arguments) - len(ctx.needs_input_grad))]
        saved = iter(ctx.saved_tensors)
        arguments: list[Any] = []
        wanted: list[Tensor] = []
        for value, is_tensor, needed in zip(ctx.arguments, ctx.is_tensor, mask, strict=True):
            argument = next(saved).detach().requires_grad_(needed) if is_tensor else value
            arguments.append(argument)
            if needed:
                wanted.append(argument)
        with torch.enable_grad():
            result = forward(*arguments)
        gradients = iter(torch.autograd.grad(result, wanted, gradient))
        return tuple(next(gradients) if needed else None for needed in mask)

    return backward


for _name, _composite, _cuda, _fake in (
    ("dpw_conv", composite.dpw_conv, cuda.dpw_conv, _dpw_conv_fake),
    (
        "dpw_inverted_residual",
        composite.dpw_inverted_residual,
        cuda.dpw_inverted_residual,
        _dpw_inverted_residual_fake,
    ),
    ("upsample_argmax", composite.upsample_argmax, cuda.upsample_argmax, _upsample_argmax_fake),
):
    _LIBRARY.impl(_name, _composite, "CompositeExplicitAutograd")
    _LIBRARY.impl(_name, _cuda, "CUDA")
    torch.library.register_fake(f"hyperseg::{_name}", _fake, lib=_LIBRARY)
    if _name != "upsample_argmax":
        torch.library.register_autograd(
            f"hyperseg::{_name}", _backward(_composite), setup_context=_setup_context, lib=_LIBRARY
        )

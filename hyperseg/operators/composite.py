"""Composite kernels: the reference implementation with shape checks, in the accumulation type, for every device."""

from collections.abc import Sequence

from torch import Tensor

from hyperseg.operators import reference
from hyperseg.operators.contract import (
    accumulation_type,
    check_scale,
    dpw_conv_outputs,
    dpw_inverted_residual_outputs,
)


def _accumulated(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.to(accumulation_type(x.dtype))


def dpw_conv(
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
    wide = accumulation_type(x.dtype)
    result = reference.dpw_conv(
        x.to(wide),
        theta.to(wide),
        _accumulated(bias),
        _accumulated(previous),
        kernel_shape,
        group,
        activation,
        offset,
        bool(coordinates),
        outputs,
    )
    return result.to(x.dtype)


def dpw_inverted_residual(
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
    dpw_inverted_residual_outputs(x, theta, biases, previous, kernel_shape, offset, coordinates)
    wide = accumulation_type(x.dtype)
    result = reference.dpw_inverted_residual(
        x.to(wide),
        theta.to(wide),
        (bias1.to(wide), bias2.to(wide), bias3.to(wide)),
        _accumulated(previous),
        kernel_shape,
        offset,
        bool(coordinates),
    )
    return result.to(x.dtype)


def upsample_argmax(x: Tensor, scale: int) -> Tensor:
    check_scale(x, scale)
    return reference.upsample_argmax(x.to(accumulation_type(x.dtype)), scale)

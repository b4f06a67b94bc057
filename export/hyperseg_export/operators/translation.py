"""Translates the PyTorch operators `torch.ops.hyperseg.*` to nodes of the ONNX domain `hyperseg`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from onnxscript.values import Opset

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES, VERSION
from hyperseg_export.operators.schemas import register


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For `torch.onnx.export(custom_translation_table=…)`."""
    import torch

    import_module("hyperseg.operators")  # defines torch.ops.hyperseg

    register()
    return {
        torch.ops.hyperseg.dpw_conv.default: _dpw_conv,
        torch.ops.hyperseg.dpw_inverted_residual.default: _dpw_inverted_residual,
        torch.ops.hyperseg.upsample_argmax.default: _upsample_argmax,
    }


def _dpw_conv(
    x: Any,
    theta: Any,
    bias: Any = None,
    previous: Any = None,
    kernel_shape: Sequence[int] = (1, 1),
    group: int = 1,
    activation: str = "none",
    offset: int = 0,
    coordinates: int = 0,
) -> Any:
    return Opset(DOMAIN, VERSION).DPWConv(
        x,
        theta,
        bias,
        previous,
        kernel_shape=list(kernel_shape),
        group=group,
        activation=activation,
        offset=offset,
        coordinates=int(coordinates),
        **PLUGIN_ATTRIBUTES,
    )


def _dpw_inverted_residual(
    x: Any,
    theta: Any,
    bias1: Any,
    bias2: Any,
    bias3: Any,
    previous: Any = None,
    kernel_shape: Sequence[int] = (3, 3),
    offset: int = 0,
    coordinates: int = 0,
) -> Any:
    return Opset(DOMAIN, VERSION).DPWInvertedResidual(
        x,
        theta,
        bias1,
        bias2,
        bias3,
        previous,
        kernel_shape=list(kernel_shape),
        offset=offset,
        coordinates=int(coordinates),
        **PLUGIN_ATTRIBUTES,
    )


def _upsample_argmax(x: Any, scale: int = 1) -> Any:
    return Opset(DOMAIN, VERSION).UpsampleArgmax(x, scale=scale, **PLUGIN_ATTRIBUTES)

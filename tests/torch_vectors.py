"""Runs the test vectors through `torch.ops.hyperseg.*`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from vectors import Case

import hyperseg.operators  # noqa: F401  registers the operators

_NAMES = {"DPWConv": "dpw_conv", "DPWInvertedResidual": "dpw_inverted_residual", "UpsampleArgmax": "upsample_argmax"}


def tensors(case: Case, device: str = "cpu") -> list[Tensor | None]:
    """The operator's inputs in order."""
    return [None if value is None else torch.from_numpy(value).to(device) for value in case.inputs().values()]


def run(case: Case, inputs: list[Tensor | None]) -> Tensor:
    """The case's operator on these inputs."""
    result: Tensor = getattr(torch.ops.hyperseg, _NAMES[case.operator])(*inputs, **case.attributes)
    return result


def gradients(case: Case, operator: Callable[..., Tensor], device: str = "cpu") -> list[Any]:
    """Gradients of the sum of the squared outputs with respect to every input; no input is omitted."""
    inputs = [value.requires_grad_() for value in tensors(case, device) if value is not None]
    attributes = {name: value for name, value in case.attributes.items() if name in ("offset", "coordinates")}
    operator(*inputs, **attributes).square().sum().backward()
    return [value.grad for value in inputs]

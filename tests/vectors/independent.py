"""The operators in PyTorch and float64, one `conv2d` per patch: a second implementation that checks the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from vectors import (
    AnyCase,
    DPWConvCase,
    DPWInvertedResidualCase,
    DPWMetaBlockCase,
    FusedMapperDPWConvCase,
    MBConvCase,
    UpsampleArgmaxCase,
)

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda y: y, "relu": F.relu, "relu6": F.relu6}


def output(case: AnyCase) -> Tensor:
    """The case's output in float64; for an arg max, the logits."""
    inputs = {
        name: None if value is None else torch.from_numpy(value).double() for name, value in case.inputs().items()
    }
    if isinstance(case, UpsampleArgmaxCase):
        return _upsampled(inputs["X"], case.scale) if case.scale else _placed(case, inputs["X"])
    if isinstance(case, MBConvCase):
        return _mbconv(case, *inputs.values())
    x = _composed(case, inputs["X"], inputs["previous"])
    if isinstance(case, FusedMapperDPWConvCase):
        inputs["theta"] = _theta(inputs["signal"], inputs["mapper"])
    weights = _Weights(inputs["theta"], case.offset)
    if isinstance(case, DPWConvCase):
        return _conv(case, x, weights, inputs["bias"], case.kernel, case.group, case.activation)
    if isinstance(case, FusedMapperDPWConvCase):
        return _conv(case, x, weights, inputs["bias"], 1, 1, case.activation)
    biases = [inputs[name] for name in ("bias1", "bias2", "bias3")]
    if isinstance(case, DPWMetaBlockCase):
        hidden = _conv(case, x, weights, biases[0], 1, 1, "relu6", case.hidden_channels)
        hidden = _conv(case, hidden, weights, biases[1], 3, case.hidden_channels, "relu6", case.hidden_channels)
        return _conv(case, hidden, weights, biases[2], 1, 1, "none")
    return _inverted_residual(case, x, weights, biases)


class _Weights:
    """theta [N, T, N_h, N_w, L] as a sequence of weights a patch, taken front to back."""

    def __init__(self, theta: Any, offset: int) -> None:
        self._sequence = theta.permute(0, 2, 3, 1, 4).flatten(3)
        self._next = offset

    def take(self, *shape: int) -> Tensor:
        """[N, N_h, N_w, *shape]."""
        count = int(torch.Size(shape).numel())
        taken = self._sequence[..., self._next : self._next + count]
        self._next += count
        return taken.unflatten(3, shape)


def _theta(signal: Any, mapper: Any) -> Tensor:
    """The product of each of the signal's T parts with its mapper."""
    parts = signal.unflatten(1, mapper.shape[:2]).permute(1, 0, 3, 4, 2)  # [T, N, N_h, N_w, K]
    return torch.stack([part @ weights for part, weights in zip(parts, mapper, strict=True)], dim=1)


def _upsampled(x: Any, scale: int) -> Tensor:
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def _placed(case: UpsampleArgmaxCase, x: Any) -> Tensor:
    """Only where the window is all of X, or whole pixels of it."""
    top, left, height, width = map(int, case.whole_window)
    window = x[:, :, top : top + height, left : left + width]
    return F.interpolate(window, size=case.size, mode="bilinear", align_corners=False)


def _composed(case: Any, x: Any, previous: Tensor | None) -> Tensor:
    parts = [x]
    if case.coordinates:
        down, across = (torch.linspace(-1, 1, size, dtype=torch.float64) for size in x.shape[2:])
        planes = torch.stack(torch.meshgrid(across, down, indexing="xy"))
        parts.insert(0, planes.expand(len(x), -1, -1, -1))
    if previous is not None:
        parts.append(_upsampled(previous, 2))
    return torch.cat(parts, dim=1)


def _by_patch(case: Any, x: Tensor, halo: int, patch: Callable[[Tensor, int, int, int], Tensor]) -> Tensor:
    """Applies `patch` to each patch with its halo, and assembles the map."""
    padded = F.pad(x, [halo] * 4, mode="reflect") if halo else x
    height, width = case.patch
    windows = padded.unfold(2, height + 2 * halo, height).unfold(3, width + 2 * halo, width)
    images = []
    for n in range(case.batch):
        rows = []
        for i in range(case.grid[0]):
            rows.append(torch.cat([patch(windows[n, :, i, j], n, i, j) for j in range(case.grid[1])], dim=2))
        images.append(torch.cat(rows, dim=1))
    return torch.stack(images)


def _conv(
    case: Any, x: Tensor, weights: _Weights, bias: Any, kernel: int, group: int, activation: str, out: int | None = None
) -> Tensor:
    taken = weights.take(out or case.out_channels, x.shape[1] // group, kernel, kernel)

    def patch(window: Tensor, n: int, i: int, j: int) -> Tensor:
        return _ACTIVATIONS[activation](F.conv2d(window, taken[n, i, j], bias, groups=group))

    return _by_patch(case, x, kernel // 2, patch)


def _inverted_residual(case: DPWInvertedResidualCase, x: Tensor, weights: _Weights, biases: list[Any]) -> Tensor:
    hidden, out = case.hidden_channels, case.out_channels
    pw1, dw, pw2 = (
        weights.take(*shape) for shape in ((hidden, x.shape[1], 1, 1), (hidden, 1, 3, 3), (out, hidden, 1, 1))
    )

    def patch(window: Tensor, n: int, i: int, j: int) -> Tensor:
        y = F.relu6(F.conv2d(window, pw1[n, i, j], biases[0]))
        y = F.relu6(F.conv2d(y, dw[n, i, j], biases[1], groups=hidden))
        y = F.conv2d(y, pw2[n, i, j], biases[2])
        return y + window[:, 1:-1, 1:-1] if window.shape[0] == out else y

    return _by_patch(case, x, 1, patch)


def _mbconv(case: MBConvCase, x: Any, *weights: Any) -> Tensor:
    expand, expand_bias, depthwise, depthwise_bias, reduce, reduce_bias, gate, gate_bias, project, project_bias = (
        weights
    )
    top, left, bottom, right = case.pads
    y = x if expand is None else F.silu(F.conv2d(x, expand, expand_bias))
    y = F.pad(y, [left, right, top, bottom])
    y = F.silu(F.conv2d(y, depthwise, depthwise_bias, stride=case.stride, groups=case.hidden_channels))
    squeezed = F.silu(F.conv2d(F.adaptive_avg_pool2d(y, 1), reduce, reduce_bias))
    y = F.conv2d(y * F.conv2d(squeezed, gate, gate_bias).sigmoid(), project, project_bias)
    return y + x if case.residual else y

"""Each operator of the domain `hyperseg` written in standard ONNX operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from hyperseg_export.lowering.builder import END, Builder
from hyperseg_export.lowering.patches import Grid, join, level_input, patch_weights, split, windows


def dpw_conv(builder: Builder, node: ir.Node) -> ir.Value:
    """DPWConv as a matrix product per patch; K x K neighbourhoods become channels, or sums of products."""
    x, theta, bias, previous = _inputs(node, 4)
    kernel = node.attributes["kernel_shape"].as_ints()[0]
    group, offset = _integer(node, "group", 1), _integer(node, "offset", 0)
    grid = Grid.of(builder, x, theta)
    composed = level_input(builder, x, previous, bool(_integer(node, "coordinates", 0)))
    channels = _composed_channels(x, previous, node)
    inner = channels // group * kernel * kernel
    available = _size(theta, 1) * _size(theta, 4) - offset
    out = available // inner // group * group if bias is None else _size(bias, 0)
    weights = patch_weights(builder, theta, grid, offset, out * inner)
    patches = grid.count(builder)
    taps = _taps(builder, composed, kernel)
    if group == channels == out and kernel > 1:
        y = _depthwise(builder, [split(builder, tap, channels, grid) for tap in taps], weights, channels)
    else:
        columns = split(builder, _interleave(builder, taps, channels, grid), channels * kernel * kernel, grid)
        pixels = builder.product(grid.height, grid.width)
        matrices = builder.reshape(weights, patches, group, out // group, inner)
        y = builder.op("MatMul", matrices, builder.reshape(columns, patches, group, inner, pixels))
        y = builder.reshape(y, patches, out, pixels)
    if bias is not None:
        y = builder.op("Add", y, builder.reshape(bias, out, 1))
    activation = node.attributes["activation"].as_string() if "activation" in node.attributes else "none"
    return join(builder, _activate(builder, y, activation, x.dtype), out, grid)


def dpw_inverted_residual(builder: Builder, node: ir.Node) -> ir.Value:
    """The meta block on the patches' windows, so that each patch makes its halo with its own weights."""
    x, theta, bias1, bias2, bias3, previous = _inputs(node, 6)
    offset = _integer(node, "offset", 0)
    grid = Grid.of(builder, x, theta)
    composed = level_input(builder, x, previous, bool(_integer(node, "coordinates", 0)))
    channels, hidden, out = _composed_channels(x, previous, node), _size(bias1, 0), _size(bias3, 0)
    patches = grid.count(builder)
    flat = patch_weights(builder, theta, grid, offset, hidden * (channels + 9 + out))
    pw1, dw, pw2 = (
        builder.slice(flat, 1, begin * hidden, (begin + count) * hidden)
        for begin, count in ((0, channels), (channels, 9), (channels + 9, out))
    )
    windowed = windows(builder, _reflect(builder, composed, 1), channels, grid)
    h = builder.op("MatMul", builder.reshape(pw1, patches, hidden, channels), windowed)
    h = _activate(builder, builder.op("Add", h, builder.reshape(bias1, hidden, 1)), "relu6", x.dtype)
    h = builder.reshape(h, patches, hidden, builder.plus(grid.height, 2), builder.plus(grid.width, 2))
    pixels = builder.product(grid.height, grid.width)
    taps = [builder.reshape(tap, patches, hidden, pixels) for tap in _shifted(builder, h, 3)]
    d = builder.op("Add", _depthwise(builder, taps, dw, hidden), builder.reshape(bias2, hidden, 1))
    d = _activate(builder, d, "relu6", x.dtype)
    o = builder.op("MatMul", builder.reshape(pw2, patches, out, hidden), d)
    y = join(builder, builder.op("Add", o, builder.reshape(bias3, out, 1)), out, grid)
    return builder.op("Add", y, composed) if channels == out else y


def upsample_argmax(builder: Builder, node: ir.Node) -> ir.Value:
    """Full-size logits and their arg max."""
    x = _inputs(node, 1)[0]
    scale = _integer(node, "scale", 1)
    if scale > 1:
        scales = builder.constant(np.array([1, 1, scale, scale], dtype=np.float32))
        x = builder.op("Resize", x, None, scales, mode="linear")
    labels = builder.op("ArgMax", x, axis=1, keepdims=0, select_last_index=0)
    return builder.op("Cast", labels, to=ir.DataType.INT32)


def inverted_residual(builder: Builder, node: ir.Node) -> ir.Value:
    """The encoder's block as the convolutions that it was fused from."""
    x, *parameters = _inputs(node, 11)
    expand, depthwise, reduce, gate, project = (tuple(parameters[i : i + 2]) for i in range(0, 10, 2))
    h = x if expand[0] is None else _silu(builder, builder.op("Conv", x, *expand, kernel_shape=[1, 1]))
    window = {name: node.attributes[name].as_ints() for name in ("kernel_shape", "strides", "pads")}
    filtered = builder.op("Conv", h, *depthwise, group=_size(depthwise[1], 0), **window)
    d = _silu(builder, filtered)
    mean = builder.op("GlobalAveragePool", d)
    squeezed = _silu(builder, builder.op("Conv", mean, *reduce, kernel_shape=[1, 1]))
    factor = builder.op("Sigmoid", builder.op("Conv", squeezed, *gate, kernel_shape=[1, 1]))
    y = builder.op("Conv", builder.op("Mul", d, factor), *project, kernel_shape=[1, 1])
    return builder.op("Add", y, x) if _integer(node, "residual", 0) else y


def _silu(builder: Builder, x: ir.Value) -> ir.Value:
    return builder.op("Mul", x, builder.op("Sigmoid", x))


def _inputs(node: ir.Node, count: int) -> list[Any]:
    return [*node.inputs, *[None] * (count - len(node.inputs))]


def _integer(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def _size(value: ir.Value, axis: int) -> int:
    size = None if value.shape is None else value.shape[axis]
    if not isinstance(size, int):
        raise ValueError(f"{value.name!r} has shape {value.shape}; its axis {axis} must be fixed in the graph")
    return size


def _composed_channels(x: ir.Value, previous: ir.Value | None, node: ir.Node) -> int:
    coordinates = 2 if _integer(node, "coordinates", 0) else 0
    return coordinates + _size(x, 1) + (0 if previous is None else _size(previous, 1))


def _activate(builder: Builder, y: ir.Value, activation: str, dtype: ir.DataType | None) -> ir.Value:
    if activation == "relu":
        return builder.op("Relu", y)
    if activation == "relu6":
        low, high = (builder.constant(np.array(limit), dtype or ir.DataType.FLOAT) for limit in (0.0, 6.0))
        return builder.op("Clip", y, low, high)
    return y


def _reflect(builder: Builder, x: ir.Value, by: int) -> ir.Value:
    return builder.op("Pad", x, builder.integers(0, 0, by, by, 0, 0, by, by), mode="reflect") if by else x


def _shifted(builder: Builder, padded: ir.Value, kernel: int) -> list[ir.Value]:
    """The K x K views [*, *, H, W] of a padded map [*, *, H + K - 1, W + K - 1], row by row."""
    views = []
    for top in range(kernel):
        bottom = top - kernel + 1
        rows = builder.slice(padded, 2, top, bottom if bottom else END)
        for left in range(kernel):
            right = left - kernel + 1
            views.append(builder.slice(rows, 3, left, right if right else END))
    return views


def _taps(builder: Builder, x: ir.Value, kernel: int) -> list[ir.Value]:
    return [x] if kernel == 1 else _shifted(builder, _reflect(builder, x, kernel // 2), kernel)


def _interleave(builder: Builder, taps: list[ir.Value], channels: int, grid: Grid) -> ir.Value:
    """K² maps [N, C, H, W] -> [N, C * K², H, W], the taps of a channel side by side as its weights are."""
    if len(taps) == 1:
        return taps[0]
    apart = [builder.op("Unsqueeze", tap, builder.integers(2)) for tap in taps]
    height, width = builder.product(grid.rows, grid.height), builder.product(grid.columns, grid.width)
    return builder.reshape(builder.op("Concat", *apart, axis=2), grid.batch, channels * len(taps), height, width)


def _depthwise(builder: Builder, taps: list[ir.Value], weights: ir.Value, channels: int) -> ir.Value:
    """Sum over the taps [B, C, pixels] times their weights [B, C * K²]: [B, C, pixels]."""
    count = len(taps)
    by_channel = builder.op("Reshape", weights, builder.integers(-1, channels, count))
    y: ir.Value | None = None
    for index, tap in enumerate(taps):
        term = builder.op("Mul", tap, builder.slice(by_channel, 2, index, index + 1))
        y = term if y is None else builder.op("Add", y, term)
    assert y is not None
    return y

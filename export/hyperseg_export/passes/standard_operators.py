"""Rewrites the operators of the domain `hyperseg` in standard ONNX operators (`--portable`).

DPWConv, before and after, for one kernel position:

    X [N, C, H, W], theta [N, T, N_h, N_w, L] ─► DPWConv ─► Y [N, C_out, H, W]

    X ─► Reshape, Transpose: B patches [B, C, pixels]   theta ─► Reshape, Slice: [B, C_out, C]
    weights, patches ─► MatMul ─► Add bias ─► Clip ─► Transpose, Reshape ─► Y       B = N*N_h*N_w

K x K neighbourhoods become channels, or sums of products for depth-wise kernels. Batch, sizes and grid may be dynamic.
This pass has no inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from hyperseg_export.operators import DOMAIN
from hyperseg_export.passes.fused_mapper import FUSED_MAPPER, unfuse_mappers
from hyperseg_export.passes.mbconv import MBCONV, unfuse_mbconv
from hyperseg_export.passes.meta_block import META_BLOCK, unfuse_meta_blocks
from hyperseg_export.passes.onnxruntime_forms import split_means
from hyperseg_export.passes.rewriting import (
    END,
    Builder,
    Extent,
    Pass,
    Rule,
    apply_rules,
    fixed_size,
    inputs,
    integer,
    producer,
    text,
    unique_names,
    use_current_names,
)

_FUSED: dict[str, Pass] = {FUSED_MAPPER: unfuse_mappers, META_BLOCK: unfuse_meta_blocks, MBCONV: unfuse_mbconv}


def to_standard_operators(model: ir.Model, keep: Collection[str] = ()) -> int:
    """Replaces our operators, except those named in `keep`, in place; returns their number.

    Channels, T and L of the generated weights must be fixed in the graph; batch, height, width and grid may be open.
    Raises ValueError for a node of our domain that cannot be written in standard operators.
    """
    unique_names(model)
    use_current_names(model)
    count = sum(node.domain == DOMAIN and node.op_type not in keep for node in model.graph)
    for operator, unfuse in _FUSED.items():
        if operator not in keep:
            unfuse(model)
    if MBCONV not in keep:
        split_means(model)
    apply_rules(model, *(rule for operator, rule in _RULES.items() if operator not in keep))
    for node in model.graph:
        if node.domain == DOMAIN and node.op_type not in keep:
            raise ValueError(f"{node.name}: {DOMAIN}.{node.op_type} has no equivalent in standard operators")
    return count


class _Lower(Rule):
    """Replaces one operator by the nodes that `write` creates."""

    def __init__(self, operator: str, write: Callable[[Builder, ir.Node], ir.Value]) -> None:
        super().__init__()
        self._operator, self._write = operator, write

    def pattern(self, op: Any, x: Any) -> Any:
        return getattr(op, self._operator)(x, _domain=DOMAIN, _allow_other_inputs=True, _outputs=["y"])

    def rewrite(self, op: Any, y: ir.Value, **_: Any) -> ir.Value:
        node = producer(y)
        return self._write(Builder(op, node), node)


def _dpw_conv(builder: Builder, node: ir.Node) -> ir.Value:
    """DPWConv as a matrix product per patch; K x K neighbourhoods become channels, or sums of products."""
    x, theta, bias, previous = _given(node, 4)
    kernel = node.attributes["kernel_shape"].as_ints()[0]
    group, offset = integer(node, "group", 1), integer(node, "offset")
    grid = _Grid.of(builder, x, theta)
    composed = _level_input(builder, x, previous, bool(integer(node, "coordinates")))
    channels = _composed_channels(x, previous, node)
    inner = channels // group * kernel * kernel
    available = fixed_size(theta, 1) * fixed_size(theta, 4) - offset
    out = available // inner // group * group if bias is None else fixed_size(bias, 0)
    weights = _patch_weights(builder, theta, grid, offset, out * inner)
    patches = grid.count(builder)
    taps = _taps(builder, composed, kernel)
    if group == channels == out and kernel > 1:
        y = _depthwise(builder, [_split(builder, tap, channels, grid) for tap in taps], weights, channels)
    else:
        columns = _split(builder, _interleave(builder, taps, channels, grid), channels * kernel * kernel, grid)
        pixels = builder.product(grid.height, grid.width)
        matrices = builder.reshape(weights, patches, group, out // group, inner)
        y = builder.op("MatMul", matrices, builder.reshape(columns, patches, group, inner, pixels))
        y = builder.reshape(y, patches, out, pixels)
    if bias is not None:
        y = builder.op("Add", y, builder.reshape(bias, out, 1))
    activation = text(node, "activation", "none")
    return _join(builder, _activate(builder, y, activation, x.dtype), out, grid)


def _dpw_inverted_residual(builder: Builder, node: ir.Node) -> ir.Value:
    """The meta block on the patches' windows, so that each patch computes its halo with its own weights."""
    x, theta, bias1, bias2, bias3, previous = _given(node, 6)
    offset = integer(node, "offset")
    grid = _Grid.of(builder, x, theta)
    composed = _level_input(builder, x, previous, bool(integer(node, "coordinates")))
    channels, hidden, out = _composed_channels(x, previous, node), fixed_size(bias1, 0), fixed_size(bias3, 0)
    patches = grid.count(builder)
    flat = _patch_weights(builder, theta, grid, offset, hidden * (channels + 9 + out))
    pw1, dw, pw2 = (
        builder.slice(flat, 1, begin * hidden, (begin + count) * hidden)
        for begin, count in ((0, channels), (channels, 9), (channels + 9, out))
    )
    windowed = _windows(builder, _reflect(builder, composed, 1), channels, grid)
    h = builder.op("MatMul", builder.reshape(pw1, patches, hidden, channels), windowed)
    h = _activate(builder, builder.op("Add", h, builder.reshape(bias1, hidden, 1)), "relu6", x.dtype)
    h = builder.reshape(h, patches, hidden, builder.plus(grid.height, 2), builder.plus(grid.width, 2))
    pixels = builder.product(grid.height, grid.width)
    taps = [builder.reshape(tap, patches, hidden, pixels) for tap in _shifted(builder, h, 3)]
    d = builder.op("Add", _depthwise(builder, taps, dw, hidden), builder.reshape(bias2, hidden, 1))
    d = _activate(builder, d, "relu6", x.dtype)
    o = builder.op("MatMul", builder.reshape(pw2, patches, out, hidden), d)
    y = _join(builder, builder.op("Add", o, builder.reshape(bias3, out, 1)), out, grid)
    return builder.op("Add", y, composed) if channels == out else y


def _upsample_argmax(builder: Builder, node: ir.Node) -> ir.Value:
    """Full-size logits and their arg max."""
    x = _given(node, 1)[0]
    scale = integer(node, "scale", 1)
    if scale > 1:
        scales = builder.constant(np.array([1, 1, scale, scale], dtype=np.float32))
        x = builder.op("Resize", x, None, scales, mode="linear")
    labels = builder.op("ArgMax", x, axis=1, keepdims=0, select_last_index=0)
    return builder.op("Cast", labels, to=ir.DataType.INT32)


def _composed_channels(x: ir.Value, previous: ir.Value | None, node: ir.Node) -> int:
    coordinates = 2 if integer(node, "coordinates") else 0
    return coordinates + fixed_size(x, 1) + (0 if previous is None else fixed_size(previous, 1))


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


def _interleave(builder: Builder, taps: list[ir.Value], channels: int, grid: _Grid) -> ir.Value:
    """K² maps [N, C, H, W] -> [N, C * K², H, W], the taps of a channel adjacent, like its weights."""
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


@dataclass(frozen=True)
class _Grid:
    """A map [batch, *, rows * height, columns * width] of rows x columns patches."""

    batch: Extent
    rows: Extent
    columns: Extent
    height: Extent
    width: Extent

    @staticmethod
    def of(builder: Builder, x: ir.Value, theta: ir.Value) -> _Grid:
        rows, columns = builder.extent(theta, 2), builder.extent(theta, 3)
        return _Grid(
            batch=builder.extent(x, 0),
            rows=rows,
            columns=columns,
            height=builder.quotient(builder.extent(x, 2), rows),
            width=builder.quotient(builder.extent(x, 3), columns),
        )

    def count(self, builder: Builder) -> Extent:
        """B, the number of patches in the batch."""
        return builder.product(self.batch, self.rows, self.columns)


def _level_input(builder: Builder, x: ir.Value, previous: ir.Value | None, coordinates: bool) -> ir.Value:
    """cat(x-coordinate, y-coordinate, X, previous upsampled by two): [N, C_in, H, W]."""
    parts = [x]
    if coordinates:
        batch, height, width = (builder.extent(x, axis) for axis in (0, 2, 3))
        full = builder.shape([batch, 1, height, width])
        across = _line(builder, width, (1, 1, 1, -1), x.dtype)
        down = _line(builder, height, (1, 1, -1, 1), x.dtype)
        parts = [builder.op("Expand", across, full), builder.op("Expand", down, full), x]
    if previous is not None:
        scales = builder.constant(np.array([1, 1, 2, 2], dtype=np.float32))
        parts.append(builder.op("Resize", previous, None, scales, mode="linear"))
    return parts[0] if len(parts) == 1 else builder.op("Concat", *parts, axis=1)


def _line(builder: Builder, length: Extent, shape: tuple[int, ...], dtype: ir.DataType | None) -> ir.Value:
    """-1 to 1 in `length` steps, both ends included."""
    kind = dtype or ir.DataType.FLOAT
    if isinstance(length, int):
        fixed = np.linspace(-1.0, 1.0, length) if length > 1 else np.array([-1.0])
        return builder.constant(fixed.reshape(shape), kind)
    zero, one = (builder.constant(np.array(value, dtype=np.int64)) for value in (0, 1))
    steps = builder.op("Cast", builder.op("Range", zero, builder.op("Squeeze", length), one), to=ir.DataType.FLOAT)
    last = builder.op("Max", builder.plus(length, -1), builder.integers(1))  # type: ignore[arg-type]
    step = builder.op("Div", builder.constant(np.array([2], dtype=np.float32)), _as_float(builder, last))
    line = builder.op("Sub", builder.op("Mul", steps, step), builder.constant(np.array([1], dtype=np.float32)))
    return builder.op("Cast", builder.op("Reshape", line, builder.integers(*shape)), to=kind)


def _as_float(builder: Builder, value: ir.Value) -> ir.Value:
    return builder.op("Cast", value, to=ir.DataType.FLOAT)


def _split(builder: Builder, x: ir.Value, channels: int, grid: _Grid) -> ir.Value:
    """[N, C, H, W] -> [B, C, height * width]."""
    by_axis = builder.reshape(x, grid.batch, channels, grid.rows, grid.height, grid.columns, grid.width)
    by_patch = builder.op("Transpose", by_axis, perm=[0, 2, 4, 1, 3, 5])
    return builder.reshape(by_patch, grid.count(builder), channels, builder.product(grid.height, grid.width))


def _join(builder: Builder, y: ir.Value, channels: int, grid: _Grid) -> ir.Value:
    """[B, C, height * width] -> [N, C, H, W]."""
    by_axis = builder.reshape(y, grid.batch, grid.rows, grid.columns, channels, grid.height, grid.width)
    by_row = builder.op("Transpose", by_axis, perm=[0, 3, 1, 4, 2, 5])
    height, width = builder.product(grid.rows, grid.height), builder.product(grid.columns, grid.width)
    return builder.reshape(by_row, grid.batch, channels, height, width)


def _windows(builder: Builder, padded: ir.Value, channels: int, grid: _Grid) -> ir.Value:
    """The patches with a halo of one pixel: [N, C, H + 2, W + 2] -> [B, C, (height + 2) * (width + 2)]."""
    tall, wide = builder.plus(grid.height, 2), builder.plus(grid.width, 2)
    whole = builder.plus(builder.product(grid.columns, grid.width), 2)
    lead: list[Extent] = [grid.batch, channels]
    rows = _overlapping(builder, padded, [*lead, grid.rows, grid.height, whole], axis=2)
    both = _overlapping(builder, rows, [*lead, grid.rows, tall, grid.columns, grid.width], axis=4)
    by_patch = builder.op("Transpose", both, perm=[0, 2, 4, 1, 3, 5])
    return builder.reshape(by_patch, grid.count(builder), channels, builder.product(tall, wide))


def _overlapping(builder: Builder, x: ir.Value, result: list[Extent], axis: int) -> ir.Value:
    """Cuts `axis`, count * size + 2 long, into windows of size + 2 that overlap by two.

    `result` is the shape [..., count, size, ...] of the windows without what they overlap by.
    """
    size = result[axis + 1]
    first = builder.slice(x, axis, 0, -2, step=size)
    body = builder.slice(x, axis, 1, -1)
    last = builder.slice(x, axis, builder.plus(size, 1), END, step=size)
    before, after = result[: axis + 1], result[axis + 2 :]
    parts = [builder.reshape(part, *before, length, *after) for part, length in ((first, 1), (body, size), (last, 1))]
    return builder.op("Concat", *parts, axis=axis + 1)


def _patch_weights(builder: Builder, theta: ir.Value, grid: _Grid, begin: int, count: int) -> ir.Value:
    """Weights number begin to begin + count - 1 of each patch: [N, T, N_h, N_w, L] -> [B, count]."""
    if theta.shape is None or not isinstance(theta.shape[1], int) or not isinstance(theta.shape[4], int):
        raise ValueError(f"theta {theta.name!r} has shape {theta.shape}; T and L must be fixed in the graph")
    pieces, length = theta.shape[1], theta.shape[4]
    if pieces > 1:
        theta = builder.op("Transpose", theta, perm=[0, 2, 3, 1, 4])
    flat = builder.reshape(theta, grid.count(builder), pieces * length)
    return flat if begin == 0 and count == pieces * length else builder.slice(flat, 1, begin, begin + count)


def _given(node: ir.Node, count: int) -> list[Any]:
    return list(inputs(node, count))


_RULES = {
    "DPWConv": _Lower.rule("DPWConv", _dpw_conv),
    "DPWInvertedResidual": _Lower.rule("DPWInvertedResidual", _dpw_inverted_residual),
    "UpsampleArgmax": _Lower.rule("UpsampleArgmax", _upsample_argmax),
}

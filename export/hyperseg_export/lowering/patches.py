"""Maps cut into patches, patches put together to maps, and the weights of each patch, in standard operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hyperseg_export.lowering.builder import END, Builder, Extent


@dataclass(frozen=True)
class Grid:
    """A map [batch, *, rows * height, columns * width] of rows x columns patches."""

    batch: Extent
    rows: Extent
    columns: Extent
    height: Extent
    width: Extent

    @staticmethod
    def of(builder: Builder, x: ir.Value, theta: ir.Value) -> Grid:
        rows, columns = builder.extent(theta, 2), builder.extent(theta, 3)
        return Grid(
            batch=builder.extent(x, 0),
            rows=rows,
            columns=columns,
            height=builder.quotient(builder.extent(x, 2), rows),
            width=builder.quotient(builder.extent(x, 3), columns),
        )

    def count(self, builder: Builder) -> Extent:
        """B, the number of patches in the batch."""
        return builder.product(self.batch, self.rows, self.columns)


def level_input(builder: Builder, x: ir.Value, previous: ir.Value | None, coordinates: bool) -> ir.Value:
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


def split(builder: Builder, x: ir.Value, channels: int, grid: Grid) -> ir.Value:
    """[N, C, H, W] -> [B, C, height * width]."""
    split_ = builder.reshape(x, grid.batch, channels, grid.rows, grid.height, grid.columns, grid.width)
    by_patch = builder.op("Transpose", split_, perm=[0, 2, 4, 1, 3, 5])
    return builder.reshape(by_patch, grid.count(builder), channels, builder.product(grid.height, grid.width))


def join(builder: Builder, y: ir.Value, channels: int, grid: Grid) -> ir.Value:
    """[B, C, height * width] -> [N, C, H, W]."""
    split_ = builder.reshape(y, grid.batch, grid.rows, grid.columns, channels, grid.height, grid.width)
    by_row = builder.op("Transpose", split_, perm=[0, 3, 1, 4, 2, 5])
    height, width = builder.product(grid.rows, grid.height), builder.product(grid.columns, grid.width)
    return builder.reshape(by_row, grid.batch, channels, height, width)


def windows(builder: Builder, padded: ir.Value, channels: int, grid: Grid) -> ir.Value:
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


def patch_weights(builder: Builder, theta: ir.Value, grid: Grid, begin: int, count: int) -> ir.Value:
    """Weights number begin to begin + count - 1 of each patch: [N, T, N_h, N_w, L] -> [B, count]."""
    if theta.shape is None or not isinstance(theta.shape[1], int) or not isinstance(theta.shape[4], int):
        raise ValueError(f"theta {theta.name!r} has shape {theta.shape}; T and L must be fixed in the graph")
    pieces, length = theta.shape[1], theta.shape[4]
    if pieces > 1:
        theta = builder.op("Transpose", theta, perm=[0, 2, 3, 1, 4])
    flat = builder.reshape(theta, grid.count(builder), pieces * length)
    return flat if begin == 0 and count == pieces * length else builder.slice(flat, 1, begin, begin + count)

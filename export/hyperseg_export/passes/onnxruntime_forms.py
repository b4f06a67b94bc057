"""Rewrites standard operators in the forms that ONNX Runtime computes best on the CPU, and back.

Convolutions with large weights that do not overlap, as matrix products. ONNX Runtime reorders the weights of every
convolution, and has both copies in memory while loading; for a context head whose weights are a hundred times the size
of its maps, this is most of the memory. A matrix product reads the weights in place, and is as fast.

    X [1, C, H, W] ─► Conv s x s, stride s ─► Y [1, M, H/s, W/s]
    X ─► SpaceToDepth(s) ─► Reshape [s*s*C, -1] ─► Gemm (weights [M, s*s*C] x pixels + bias) ─► Reshape ─► Y

Averages over a map as averages of averages over its rows. On an image of one colour all values of a map are nearly
equal, and rounding errors of a long sum do not cancel: a cityscapes-s file had an error of 1.1, with short sums 0.04.

    X ─► ReduceMean [2, 3] ─► Y
    X ─► ReduceMean [3] ─► ReduceMean [2] ─► Y
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir

from hyperseg_export.passes.rewriting import Builder, Rule, apply_rules, inputs, integer, integers, producer, size

_LARGE = 1 << 20
"""Bytes of weights from which on the copy matters."""


def conv_to_gemm(model: ir.Model) -> int:
    """Replaces convolutions without overlap, of one image of fixed size, in place; returns their number."""
    return apply_rules(model, _ConvToGemm.rule())


def gemm_to_conv(model: ir.Model) -> int:
    """The inverse of `conv_to_gemm`. TensorRT for RTX refuses float32 matrix products for Turing."""
    return apply_rules(model, _GemmToConv.rule(), _SpaceToDepthToConv.rule())


def split_means(model: ir.Model) -> int:
    """Replaces averages over pixels by averages over columns of averages over rows, in place; returns their number."""
    return apply_rules(model, _SplitMean.rule())


def join_means(model: ir.Model) -> int:
    """The inverse of `split_means`: one layer in TensorRT instead of two."""
    return apply_rules(model, _JoinMeans.rule())


def averages_pixels(mean: ir.Node) -> bool:
    """Whether a ReduceMean is over height and width of a map [N, C, H, W]."""
    x = mean.inputs[0]
    rank = None if x is None or x.shape is None else len(x.shape)
    axes = _axes(mean)
    return sorted(axes if rank is None else [axis % rank for axis in axes]) == [2, 3] and rank in (None, 4)


class _ConvToGemm(Rule):
    def pattern(self, op: Any, x: Any, weight: Any) -> Any:
        return op.Conv(x, weight, _allow_other_inputs=True, _outputs=["y"])

    def check(self, _context: Any, x: ir.Value, weight: ir.Value, y: ir.Value) -> bool:
        conv, tensor = producer(y), weight.const_value
        if x.shape is None or tensor is None or len(tensor.shape) != 4 or len(weight.uses()) != 1:
            return False
        if tensor.dtype != ir.DataType.FLOAT or tensor.nbytes < _LARGE or not _is_constant(inputs(conv, 3)[2]):
            return False
        sizes = [each for each in x.shape if isinstance(each, int)]
        _, channels, height, width = tensor.shape.numpy()
        if len(sizes) != 4 or sizes[:2] != [1, channels] or height != width or sizes[2] % height or sizes[3] % width:
            return False
        plain = integers(conv, "pads", [0] * 4) == [0] * 4 and integers(conv, "dilations", [1, 1]) == [1, 1]
        padded = "auto_pad" in conv.attributes and conv.attributes["auto_pad"].as_string() != "NOTSET"
        return plain and not padded and integers(conv, "strides", [1, 1]) == [height, width]

    def rewrite(self, op: Any, x: ir.Value, weight: ir.Value, y: ir.Value) -> ir.Value:
        conv, taken = producer(y), Counter[str]()
        builder, prefix = Builder(op, conv), (conv.name or "").removesuffix("/Conv")
        assert x.shape is not None
        values = _values(weight)
        rows, channels, side, _ = values.shape
        height, width = int(x.shape[2]) // side, int(x.shape[3]) // side  # type: ignore[arg-type]

        def add(op_type: str, *given: ir.Value, **attributes: int) -> ir.Value:
            taken[op_type] += 1
            number = f"_{taken[op_type]}" if taken[op_type] > 1 else ""
            return builder.named(f"{prefix}/{op_type}{number}", op_type, *given, **attributes)

        if side > 1:
            # Leaves the pixels of a square as channels: (row, column, channel).
            x = add("SpaceToDepth", x, blocksize=side)
            values = values.transpose(0, 2, 3, 1)
        matrix = builder.constant(np.array([channels * side * side, -1]), name=f"{y.name}/matrix")
        columns = add("Reshape", x, matrix)
        weights = builder.constant(np.ascontiguousarray(values.reshape(rows, -1)), name=f"{y.name}/weights")
        bias = inputs(conv, 3)[2]
        factors = [weights, columns]
        if bias is not None:
            factors.append(builder.constant(_values(bias).reshape(rows, 1), name=f"{y.name}/bias"))
        product = add("Gemm", *factors)
        return add("Reshape", product, builder.constant(np.array([1, rows, height, width]), name=f"{y.name}/map"))


class _GemmToConv(Rule):
    """A 1x1 convolution, after SpaceToDepth if there is one."""

    def pattern(self, op: Any, x: Any, shape: Any, weights: Any, shape_after: Any) -> Any:
        columns = op.Reshape(x, shape)
        return op.Reshape(op.Gemm(weights, columns, _allow_other_inputs=True, _outputs=["product"]), shape_after)

    def check(
        self,
        _context: Any,
        x: ir.Value,
        shape: ir.Value,
        weights: ir.Value,
        shape_after: ir.Value,
        product: ir.Value,
        **_: Any,
    ) -> bool:
        gemm, matrix, bias = producer(product), weights.const_value, inputs(producer(product), 3)[2]
        if gemm.attributes or matrix is None or not all(map(_is_constant, (shape, shape_after, bias))):
            return False
        rows, columns = matrix.shape.numpy()
        known = x.shape is None or (len(x.shape) == 4 and [size(x, 0), size(x, 1)] == [1, columns])
        biased = bias is None or _values(bias).shape == (rows, 1)
        after = _values(shape_after).tolist()
        return (
            known and biased and _values(shape).tolist() == [columns, -1] and after[:2] == [1, rows] and len(after) == 4
        )

    def rewrite(self, op: Any, x: ir.Value, weights: ir.Value, product: ir.Value, **_: Any) -> ir.Value:
        gemm = producer(product)
        values, bias = _values(weights), inputs(gemm, 3)[2]
        return _conv(op, gemm, x, values.reshape(*values.shape, 1, 1), bias, kernel_shape=[1, 1])


class _SpaceToDepthToConv(Rule):
    """A convolution of s x s pixels whose squares were moved to channels."""

    def pattern(self, op: Any, x: Any, weight: Any) -> Any:
        squares = op.SpaceToDepth(x, _outputs=["squares"])
        return op.Conv(squares, weight, _allow_other_inputs=True, _outputs=["y"])

    def check(self, _context: Any, weight: ir.Value, y: ir.Value, **_: Any) -> bool:
        values, conv = weight.const_value, producer(y)
        pointwise = values is not None and list(values.shape[2:]) == [1, 1] and integer(conv, "group", 1) == 1
        return pointwise and integers(conv, "strides", [1, 1]) == [1, 1] and not any(integers(conv, "pads"))

    def rewrite(self, op: Any, x: ir.Value, squares: ir.Value, weight: ir.Value, y: ir.Value) -> ir.Value:
        conv, side = producer(y), integer(producer(squares), "blocksize")
        pixels = _values(weight)
        values = pixels.reshape(len(pixels), side, side, -1).transpose(0, 3, 1, 2)
        attributes = {"kernel_shape": [side, side], "strides": [side, side]}
        return _conv(op, conv, x, np.ascontiguousarray(values), inputs(conv, 3)[2], **attributes)


class _SplitMean(Rule):
    def pattern(self, op: Any, x: Any) -> Any:
        return op.ReduceMean(x, _allow_other_inputs=True, _outputs=["y"])

    def check(self, _context: Any, y: ir.Value, **_: Any) -> bool:
        mean = producer(y)
        return len(mean.inputs) == 2 and integer(mean, "keepdims", 1) == 1 and averages_pixels(mean)

    def rewrite(self, op: Any, x: ir.Value, y: ir.Value) -> ir.Value:
        mean = producer(y)
        builder = Builder(op, mean)
        rows = builder.named(f"{mean.name}_rows", "ReduceMean", x, _axis(mean, builder, 3), keepdims=1)
        return builder.named(mean.name or "", "ReduceMean", rows, _axis(mean, builder, 2), **mean.attributes)


class _JoinMeans(Rule):
    def pattern(self, op: Any, x: Any, rows_axes: Any, columns_axes: Any) -> Any:
        rows = op.ReduceMean(x, rows_axes, _outputs=["rows"])
        return op.ReduceMean(rows, columns_axes, _outputs=["y"])

    def check(self, _context: Any, rows: ir.Value, y: ir.Value, **_: Any) -> bool:
        both = producer(rows), producer(y)
        return [_axes(mean) for mean in both] == [[3], [2]] and all(integer(mean, "keepdims", 1) == 1 for mean in both)

    def rewrite(self, op: Any, x: ir.Value, y: ir.Value, **_: Any) -> ir.Value:
        mean = producer(y)
        builder = Builder(op, mean)
        return builder.named(mean.name or "", "ReduceMean", x, builder.integers(2, 3), **mean.attributes)


def _conv(
    op: Any, old: ir.Node, x: ir.Value, weight: np.ndarray[Any, Any], bias: ir.Value | None, **attributes: Any
) -> ir.Value:
    prefix = (old.name or "").removesuffix("/Gemm").removesuffix("/Conv")
    builder = Builder(op, old)
    constants = [builder.constant(weight, name=f"{prefix}/weight")]
    if bias is not None:
        constants.append(builder.constant(_values(bias).reshape(-1), name=f"{prefix}/bias"))
    return builder.named(f"{prefix}/Conv", "Conv", x, *constants, **attributes)


def _values(constant: ir.Value) -> np.ndarray[Any, Any]:
    assert constant.const_value is not None
    return constant.const_value.numpy()


def _is_constant(value: ir.Value | None) -> bool:
    """Whether a tensor is a constant, or left out."""
    return value is None or value.const_value is not None


def _axes(mean: ir.Node) -> list[int]:
    """Axes of a ReduceMean, from input or attribute; empty if they are computed."""
    given = inputs(mean, 2)[1]
    if given is None:
        return integers(mean, "axes")
    return [int(axis) for axis in _values(given).tolist()] if _is_constant(given) else []


def _axis(mean: ir.Node, builder: Builder, axis: int) -> ir.Value:
    """The constant [axis], one for the whole graph."""
    name = f"axis_{axis}"
    assert mean.graph is not None
    known = mean.graph.initializers.get(name)
    if known is not None and known.dtype == ir.DataType.INT64 and _values(known).tolist() == [axis]:
        return known
    return builder.constant(np.array([axis], np.int64), name=name)

"""Fuses encoder blocks into MBConv, which never writes the expanded feature map, and back.

Before (most blocks have expand and Add):

    X ─► Conv 1x1 expand ─► SiLU ─► Conv depth-wise ─► SiLU ─► d
    d ─► ReduceMean [2, 3] ─► Conv 1x1 reduce ─► SiLU ─► Conv 1x1 gate ─► Sigmoid ─► s
    d, s ─► Mul ─► Conv 1x1 project ─► Add X ─► Y            SiLU(x): Sigmoid ─► Mul x

After:

    X, weights and biases of the five convolutions ─► MBConv(kernel_shape, strides, pads, residual) ─► Y

The block is MBConv of EfficientNet (Tan and Le, ICML 2019) with squeeze-and-excitation.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
from hyperseg_export.passes.onnxruntime_forms import averages_pixels
from hyperseg_export.passes.rewriting import (
    Builder,
    Rule,
    apply_rules,
    fixed_size,
    inputs,
    integer,
    integers,
    producer,
    size,
)

MBCONV = "MBConv"
_WINDOW = ("kernel_shape", "strides", "pads")


def fuse_mbconv(model: ir.Model) -> int:
    """Replaces float32 blocks by MBConv, in place; returns their number."""
    return apply_rules(model, *_FUSE)


def unfuse_mbconv(model: ir.Model) -> int:
    """Replaces MBConv by the block's convolutions, in place; returns their number."""
    return apply_rules(model, _UNFUSE)


class _Fuse(Rule):
    """One of the four forms of a block."""

    def __init__(self, expand: bool, residual: bool) -> None:
        super().__init__()
        self._expand, self._residual = expand, residual

    def pattern(
        self, op: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, w4: Any, b4: Any, w5: Any, b5: Any
    ) -> Any:
        def silu(value: Any) -> Any:
            return op.Mul(value, op.Sigmoid(value))

        h = silu(op.Conv(x, w1, b1, _outputs=["expand"])) if self._expand else x
        d = silu(op.Conv(h, w2, b2, _outputs=["depthwise"]))
        mean = op.ReduceMean(d, _allow_other_inputs=True, _outputs=["mean"])
        squeezed = silu(op.Conv(mean, w3, b3, _outputs=["reduce"]))
        scale = op.Sigmoid(op.Conv(squeezed, w4, b4, _outputs=["gate"]))
        y = op.Conv(op.Mul(d, scale), w5, b5, _outputs=["project"])
        return op.Add(y, x) if self._residual else y

    def check(
        self,
        _context: Any,
        x: ir.Value,
        depthwise: ir.Value,
        mean: ir.Value,
        reduce: ir.Value,
        gate: ir.Value,
        project: ir.Value,
        expand: ir.Value | None = None,
        **_: Any,
    ) -> bool:
        pointwise = [reduce, gate, project, *([] if expand is None else [expand])]
        whole = expand is not None or not _is_expanded(x)  # else a block whose inside something else reads
        return (
            whole
            and _is_depthwise(producer(depthwise))
            and averages_pixels(producer(mean))
            and all(_is_pointwise(producer(conv)) for conv in pointwise)
            and _shape(producer(gate).inputs[1])[0] == _shape(producer(depthwise).inputs[1])[0]
            and (not self._residual or size(x, 1) == _shape(producer(project).inputs[1])[0])
        )

    def rewrite(
        self, op: Any, x: ir.Value, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, w4: Any, b4: Any, w5: Any,
        b5: Any, depthwise: ir.Value, **_: Any,
    ) -> ir.Value:  # fmt: skip
        conv = producer(depthwise)
        return Builder(op, conv).named(
            f"{(conv.name or '').split('.depthwise')[0]}/{MBCONV}",
            MBCONV,
            *(x, w1, b1, w2, b2, w3, b3, w4, b4, w5, b5),
            **{name: integers(conv, name) for name in _WINDOW},
            residual=int(self._residual),
            **PLUGIN_ATTRIBUTES,
            _domain=DOMAIN,
        )


class _Unfuse(Rule):
    def pattern(self, op: Any, x: Any) -> Any:
        return op.MBConv(x, _domain=DOMAIN, _allow_other_inputs=True, _outputs=["y"])

    def rewrite(self, op: Any, x: ir.Value, y: ir.Value) -> ir.Value:
        block = producer(y)
        builder = Builder(op, block)
        _, *parameters = inputs(block, 11)
        expand, depthwise, reduce, gate, project = (tuple(parameters[i : i + 2]) for i in range(0, 10, 2))

        def silu(value: ir.Value) -> ir.Value:
            return builder.op("Mul", value, builder.op("Sigmoid", value))

        def pointwise(value: ir.Value, parameters: tuple[ir.Value | None, ...]) -> ir.Value:
            return builder.op("Conv", value, *parameters, kernel_shape=[1, 1])

        h = x if expand[0] is None else silu(pointwise(x, expand))
        assert depthwise[1] is not None
        window = {name: integers(block, name) for name in _WINDOW}
        d = silu(builder.op("Conv", h, *depthwise, group=fixed_size(depthwise[1], 0), **window))
        mean = builder.op("ReduceMean", d, builder.integers(2, 3), keepdims=1)
        scale = builder.op("Sigmoid", pointwise(silu(pointwise(mean, reduce)), gate))
        y = pointwise(builder.op("Mul", d, scale), project)
        return builder.op("Add", y, x) if integer(block, "residual") else y


# A block with more around it first, since each of the others matches its inside.
_FUSE = [
    _Fuse.rule(expand, residual) for expand, residual in ((True, True), (False, True), (True, False), (False, False))
]
_UNFUSE = _Unfuse.rule()


def _is_expanded(x: ir.Value) -> bool:
    """Whether this is the SiLU of a 1x1 convolution with one consumer."""
    multiply = x.producer()
    if multiply is None or multiply.op_type != "Mul" or len(x.uses()) != 1:
        return False
    makers = [None if value is None else value.producer() for value in multiply.inputs]
    return any(node is not None and node.op_type == "Conv" and _is_pointwise(node) for node in makers)


def _is_convolution(node: ir.Node) -> bool:
    """Whether this is an undilated convolution with float32 weights and a bias."""
    weight = node.inputs[1]
    if len(node.inputs) != 3 or weight is None or weight.const_value is None:
        return False
    padding = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    plain = integers(node, "dilations", [1, 1]) == [1, 1] and padding == "NOTSET"
    return weight.const_value.dtype == ir.DataType.FLOAT and plain


def _is_pointwise(node: ir.Node) -> bool:
    plain = integer(node, "group", 1) == 1 and integers(node, "strides", [1, 1]) == [1, 1]
    return _is_convolution(node) and _shape(node.inputs[1])[2:] == [1, 1] and plain and not any(integers(node, "pads"))


def _is_depthwise(node: ir.Node) -> bool:
    """Whether this is depth-wise, 3x3 or 5x5 with stride 1 or 2, as the operator supports it."""
    if not _is_convolution(node) or not {"group", *_WINDOW} <= set(node.attributes):
        return False
    channels, per_group, *kernel = _shape(node.inputs[1])
    square = kernel in ([3, 3], [5, 5]) and integers(node, "strides") in ([1, 1], [2, 2])
    padded = max(integers(node, "pads")) < kernel[0]
    return square and padded and per_group == 1 and integer(node, "group") == channels


def _shape(value: ir.Value | None) -> list[int]:
    assert value is not None and value.const_value is not None
    return list(value.const_value.shape.numpy())

"""Fuses the meta blocks of v0_1 into DPWMetaBlock, which never writes the hidden feature maps, and back.

Before (with the same theta; the weights of the three are consecutive from `offset` on):

    X, previous?, theta, bias1 ─► DPWConv 1x1 relu6 ─► h
    h, theta, bias2 ─► DPWConv depth-wise 3x3 relu6 ─► d
    d, theta, bias3 ─► DPWConv 1x1 ─► Y

After:

    X, theta, bias1, bias2, bias3, previous? ─► DPWMetaBlock(offset, coordinates) ─► Y

A patch's halo is computed with the neighbours' weights, as in three DPWConvs; DPWInvertedResidual, the meta block of
later versions, computes it with the patch's own weights, and is a separate operator in PyTorch already.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
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
    text,
)

META_BLOCK = "DPWMetaBlock"

_HIGH = 16
"""Rows of a patch from which on the operator pays: it makes the two rows above and below each patch twice."""


def fuse_meta_blocks(model: ir.Model) -> int:
    """Replaces float32 blocks of three DPWConvs by DPWMetaBlock, in place; returns their number."""
    return apply_rules(model, _Fuse.rule())


def unfuse_meta_blocks(model: ir.Model) -> int:
    """Replaces DPWMetaBlock by its three DPWConvs, in place; returns how many. Raises ValueError where channels are not
    fixed in the graph."""
    return apply_rules(model, _Unfuse.rule())


class _Fuse(Rule):
    def pattern(self, op: Any, x: Any, theta: Any, bias1: Any, bias2: Any, bias3: Any) -> Any:
        def conv(source: Any, bias: Any, name: str) -> Any:
            return op.DPWConv(source, theta, bias, _domain=DOMAIN, _allow_other_inputs=True, _outputs=[name])

        return conv(conv(conv(x, bias1, "expand"), bias2, "depthwise"), bias3, "project")

    def check(
        self,
        _context: Any,
        x: ir.Value,
        theta: ir.Value,
        bias1: ir.Value | None,
        bias2: ir.Value | None,
        bias3: ir.Value | None,
        **convolutions: ir.Value,
    ) -> bool:
        expand, depthwise, project = blocks = [producer(convolutions[n]) for n in ("expand", "depthwise", "project")]
        previous = inputs(expand, 4)[3]
        sizes = [size(value, axis) for value, axis in ((x, 1), (x, 2), (theta, 2), (bias1, 0), (bias2, 0))]
        before = 0 if previous is None else size(previous, 1)
        if None in sizes or before is None or bias3 is None or any(inputs(n, 4)[3] for n in (depthwise, project)):
            return False
        channels, height, rows, hidden, filtered = (each or 0 for each in sizes)
        channels += before + 2 * integer(expand, "coordinates")
        begin = integer(expand, "offset")
        offsets = [begin, begin + hidden * channels, begin + hidden * (channels + 9)]
        return (
            x.dtype == ir.DataType.FLOAT
            and height // max(rows, 1) >= _HIGH
            and hidden == filtered
            and [integer(node, "group", 1) for node in blocks] == [1, hidden, 1]
            and [integer(node, "offset") for node in blocks] == offsets
            and [text(node, "activation", "none") for node in blocks] == ["relu6", "relu6", "none"]
            and [integers(node, "kernel_shape") for node in blocks] == [[1, 1], [3, 3], [1, 1]]
            and not any(integer(node, "coordinates") for node in (depthwise, project))
        )

    def rewrite(
        self,
        op: Any,
        x: ir.Value,
        theta: ir.Value,
        bias1: ir.Value,
        bias2: ir.Value,
        bias3: ir.Value,
        expand: ir.Value,
        **_: Any,
    ) -> ir.Value:
        first = producer(expand)
        previous = inputs(first, 4)[3]
        return Builder(op, first).named(
            (first.name or "").replace("DPWConv", META_BLOCK),
            META_BLOCK,
            *(x, theta, bias1, bias2, bias3),
            *([] if previous is None else [previous]),
            kernel_shape=[3, 3],
            offset=integer(first, "offset"),
            coordinates=integer(first, "coordinates"),
            **PLUGIN_ATTRIBUTES,
            _domain=DOMAIN,
        )


class _Unfuse(Rule):
    def pattern(self, op: Any, x: Any, theta: Any, bias1: Any, bias2: Any, bias3: Any) -> Any:
        return op.DPWMetaBlock(x, theta, bias1, bias2, bias3, _domain=DOMAIN, _allow_other_inputs=True, _outputs=["y"])

    def rewrite(
        self,
        op: Any,
        x: ir.Value,
        theta: ir.Value,
        bias1: ir.Value,
        bias2: ir.Value,
        bias3: ir.Value,
        y: ir.Value,
    ) -> ir.Value:
        block = producer(y)
        builder, previous = Builder(op, block), inputs(block, 6)[5]
        begin, coordinates = integer(block, "offset"), integer(block, "coordinates")
        channels = 2 * coordinates + sum(fixed_size(value, 1) for value in (x, previous) if value is not None)
        hidden = fixed_size(bias1, 0)

        def convolve(source: ir.Value, bias: ir.Value, offset: int, **attributes: int | str | list[int]) -> ir.Value:
            before = previous if source is x else None
            described = {
                "kernel_shape": [1, 1], "group": 1, "activation": "relu6", "offset": offset, "coordinates": 0
            }  # fmt: skip
            result = builder.named(
                f"{(block.name or '').removesuffix(META_BLOCK)}DPWConv_{offset}",
                "DPWConv",
                *(source, theta, bias, before),
                **{**described, **attributes, **PLUGIN_ATTRIBUTES},
                _domain=DOMAIN,
            )
            if x.shape is not None:
                result.shape = ir.Shape([x.shape[0], fixed_size(bias, 0), x.shape[2], x.shape[3]])
            result.type = x.type
            return result

        expand = convolve(x, bias1, begin, coordinates=coordinates)
        depthwise = convolve(expand, bias2, begin + hidden * channels, kernel_shape=[3, 3], group=hidden)
        return convolve(depthwise, bias3, begin + hidden * (channels + 9), activation="none")

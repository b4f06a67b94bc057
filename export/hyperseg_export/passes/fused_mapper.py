"""Fuses DPWConv and its weight mapper into FusedMapperDPWConv, which computes no weights, and back.

Before, with T pieces of K values (the Reshapes may be shared by several mappers):

    signal [N, T*K, N_h, N_w] ─► Reshape [N, T, K, N_h*N_w] ─► Transpose ─► MatMul mapper [T, K, L]
                              ─► Reshape ─► theta [N, T, N_h, N_w, L]
    X, theta, bias?, previous? ─► DPWConv 1x1 ─► Y

After:

    X, signal, mapper, bias?, previous? ─► FusedMapperDPWConv ─► Y

Y is linear in the weights, so the mapper can be applied to X instead, which is cheaper if a patch has few pixels.
"""

from __future__ import annotations

import re
from typing import Any

import onnx_ir as ir

from hyperseg_export.operators import DOMAIN
from hyperseg_export.passes.rewriting import Builder, Rule, apply_rules, integer, integers, producer

FUSED_MAPPER = "FusedMapperDPWConv"

_FEW = 4
"""Pixels of a patch up to which the operator pays: it multiplies as often for each pixel as the mapper for a patch."""


def fuse_mappers(model: ir.Model) -> int:
    """Replaces float32 DPWConvs on small patches and the products that make their weights, in place; returns how
    many."""
    return apply_rules(model, _Fuse.rule())


def unfuse_mappers(model: ir.Model) -> int:
    """Replaces FusedMapperDPWConv by product and DPWConv, in place; returns how many. Raises ValueError where the
    mapper's shape is not fixed in the graph."""
    return apply_rules(model, _Unfuse.rule())


class _Fuse(Rule):
    def __init__(self) -> None:
        super().__init__(remove_nodes=False)  # other mappers may read the same signal: what nobody reads goes later

    def pattern(self, op: Any, x: Any, signal: Any, mapper: Any, shape: Any, grid: Any) -> Any:
        by_patch = op.Transpose(op.Reshape(signal, shape), _outputs=["by_patch"])
        theta = op.Reshape(op.MatMul(by_patch, mapper), grid, _outputs=["theta"])
        return op.DPWConv(x, theta, _domain=DOMAIN, _allow_other_inputs=True, _outputs=["y"])

    def check(
        self,
        _context: Any,
        x: ir.Value,
        signal: ir.Value,
        mapper: ir.Value,
        by_patch: ir.Value,
        theta: ir.Value,
        y: ir.Value,
        **_: Any,
    ) -> bool:
        conv, weights = producer(y), mapper.const_value
        if integers(conv, "kernel_shape") != [1, 1] or integer(conv, "group", 1) != 1 or x.dtype != ir.DataType.FLOAT:
            return False
        sides = [_ratio(_dimension(x, axis), _dimension(theta, axis)) for axis in (2, 3)]
        if sides[0] is None or sides[1] is None or sides[0] * sides[1] > _FEW:
            return False
        if weights is None or len(weights.shape) != 3 or len(theta.uses()) != 1 or theta.is_graph_output():
            return False
        pieces, length, count = weights.numpy().shape
        grid = [_dimension(signal, axis) for axis in (2, 3)]
        return (
            integers(producer(by_patch), "perm") == [0, 1, 3, 2]
            and [_dimension(theta, axis) for axis in (1, 2, 3, 4)] == [pieces, *grid, count]
            and _dimension(signal, 1) == pieces * length
        )

    def rewrite(self, op: Any, x: ir.Value, signal: ir.Value, mapper: ir.Value, y: ir.Value, **_: Any) -> ir.Value:
        conv = producer(y)
        name = (conv.name or "").replace("DPWConv", FUSED_MAPPER)
        rest = conv.inputs[2:]
        return Builder(op, conv).named(name, FUSED_MAPPER, x, signal, mapper, *rest, **conv.attributes, _domain=DOMAIN)


class _Unfuse(Rule):
    def pattern(self, op: Any, x: Any, signal: Any, mapper: Any) -> Any:
        return op.FusedMapperDPWConv(x, signal, mapper, _domain=DOMAIN, _allow_other_inputs=True, _outputs=["y"])

    def rewrite(self, op: Any, x: ir.Value, signal: ir.Value, mapper: ir.Value, y: ir.Value) -> ir.Value:
        if mapper.shape is None or not mapper.shape.is_static():
            raise ValueError(f"{mapper.name!r} has shape {mapper.shape}; it must be fixed in the graph")
        fused = producer(y)
        builder = Builder(op, fused)
        pieces, length, weights = mapper.shape.numpy()
        batch, rows, columns = (builder.extent(signal, axis) for axis in (0, 2, 3))
        by_piece = builder.reshape(signal, batch, pieces, length, builder.product(rows, columns))
        by_patch = builder.op("Transpose", by_piece, perm=[0, 1, 3, 2])
        made = builder.op("MatMul", by_patch, mapper)
        theta = builder.op("Reshape", made, builder.shape([batch, pieces, rows, columns, weights]))
        theta.shape = ir.Shape([*(signal.shape or ())[:1], pieces, *(signal.shape or ())[2:], weights])
        theta.type = signal.type
        given = fused.name or ""
        name = given.replace(FUSED_MAPPER, "DPWConv") if FUSED_MAPPER in given else f"{given}/DPWConv"
        return builder.named(name, "DPWConv", x, theta, *fused.inputs[3:], **fused.attributes, _domain=DOMAIN)


def _dimension(value: ir.Value, axis: int) -> int | str | None:
    """The dimension as text, such as "4*rows" if it is not fixed."""
    found = None if value.shape is None else value.shape[axis]
    return found if isinstance(found, int) or found is None else found.value


def _ratio(size: int | str | None, unit: int | str | None) -> int | None:
    """The ratio of `size` to `unit`: 2 for "4*rows" and "2*rows"."""
    (count, symbol), (divisor, other) = _factors(size), _factors(unit)
    whole = symbol == other and divisor > 0 and count % divisor == 0
    return count // divisor if whole else None


def _factors(size: int | str | None) -> tuple[int, str | None]:
    if isinstance(size, int):
        return size, ""
    match = re.fullmatch(r"(?:(\d+)\*)?(\w+)", size or "")
    return (int(match[1] or 1), match[2]) if match else (0, None)

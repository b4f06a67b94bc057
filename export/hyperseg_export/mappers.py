"""DPWConvs on patches of a few pixels with their weight mappers, as one operator for the CPU that makes no weights."""

from __future__ import annotations

import re

import onnx_ir as ir

from hyperseg_export.operators import DOMAIN
from hyperseg_export.replacement import replace_nodes

MAPPED = "FusedMapperDPWConv"

_FEW = 4
"""Pixels of a patch up to which the operator pays: it multiplies as often for each pixel as the mapper for a patch."""


def fuse_mappers(model: ir.Model) -> int:
    """Replaces float32 DPWConvs and the products that make their weights in place; returns how many."""
    count = 0
    for node in list(model.graph):
        if node.domain == DOMAIN and node.op_type == "DPWConv" and _is_small(node):
            found = _mapper(node.inputs[1])
            if found is not None:
                _replace(model.graph, node, *found)
                count += 1
    return count


def _is_small(node: ir.Node) -> bool:
    x, theta = node.inputs[:2]
    if list(node.attributes["kernel_shape"].as_ints()) != [1, 1] or x is None or x.dtype != ir.DataType.FLOAT:
        return False
    if "group" in node.attributes and node.attributes["group"].as_int() != 1:
        return False
    sides = [_ratio(_dimension(x, axis), _dimension(theta, axis)) for axis in (2, 3)]
    return all(side is not None for side in sides) and (sides[0] or 0) * (sides[1] or 0) <= _FEW


def _mapper(theta: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    """The signal [N, T*K, N_h, N_w] and the mapper [T, K, L] that make theta, for this reader alone."""
    if theta is None or len(theta.uses()) != 1:
        return None
    multiply = _producer(_source(theta, "Reshape"), "MatMul")
    transpose = None if multiply is None else _producer(multiply.inputs[0], "Transpose")
    mapper = None if multiply is None else multiply.inputs[1]
    if transpose is None or mapper is None or mapper.const_value is None or len(mapper.const_value.shape) != 3:
        return None
    signal = _source(transpose.inputs[0], "Reshape")
    if signal is None or list(transpose.attributes["perm"].as_ints()) != [0, 1, 3, 2]:
        return None
    pieces, length, weights = mapper.const_value.numpy().shape
    grid = [_dimension(signal, axis) for axis in (2, 3)]
    fits = [_dimension(theta, axis) for axis in (1, 2, 3, 4)] == [pieces, *grid, weights]
    return (signal, mapper) if fits and _dimension(signal, 1) == pieces * length else None


def _producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type and not node.domain else None


def _source(value: ir.Value | None, op_type: str) -> ir.Value | None:
    """The first input of the node that makes the value, if it is of this type."""
    node = _producer(value, op_type)
    return None if node is None else node.inputs[0]


def _replace(graph: ir.Graph, node: ir.Node, signal: ir.Value, mapper: ir.Value) -> None:
    x, _, *rest = node.inputs
    name = (node.name or "").replace("DPWConv", MAPPED)
    mapped = ir.node(MAPPED, [x, signal, mapper, *rest], dict(node.attributes), domain=DOMAIN, name=name)
    replace_nodes(graph, node, [node], [mapped], node.outputs[0], mapped.outputs[0])


def _dimension(value: ir.Value | None, axis: int) -> int | str | None:
    """As "4*rows" where it is not fixed."""
    size = None if value is None or value.shape is None else value.shape[axis]
    return size if isinstance(size, int) or size is None else size.value


def _ratio(size: int | str | None, unit: int | str | None) -> int | None:
    """How often `unit` goes into `size`: 2 for "4*rows" and "2*rows"."""
    (count, symbol), (divisor, other) = _factors(size), _factors(unit)
    whole = symbol == other and divisor > 0 and count % divisor == 0
    return count // divisor if whole else None


def _factors(size: int | str | None) -> tuple[int, str | None]:
    if isinstance(size, int):
        return size, ""
    match = re.fullmatch(r"(?:(\d+)\*)?(\w+)", size or "")
    return (int(match[1] or 1), match[2]) if match else (0, None)

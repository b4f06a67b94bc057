"""Convolutions with large weights as matrix products, for the CPU.

ONNX Runtime reorders the weights of every convolution that it keeps, and holds both copies while it loads. Of a
context head whose weights are a hundred times the size of its maps, that is most of the memory. A matrix product reads
them where they lie, and is as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

_LARGE = 1 << 20
"""Bytes of weights from which on the copy matters."""


def use_products(model: ir.Model) -> int:
    """Replaces convolutions without overlap, of one image of fixed size, in place; returns how many."""
    count = 0
    for node in list(model.graph):
        window = _match(node)
        if window is not None:
            _replace(model.graph, node, window)
            count += 1
    return count


@dataclass(frozen=True)
class _Window:
    """The convolution's input [1, channels, height, width], cut into squares of `side` pixels."""

    channels: int
    height: int
    width: int
    side: int

    @property
    def pixels(self) -> tuple[int, int]:
        return self.height // self.side, self.width // self.side


def _match(node: ir.Node) -> _Window | None:
    if node.op_type != "Conv" or node.domain:
        return None
    x, weight = node.inputs[:2]
    if x is None or x.shape is None or weight is None or weight.const_value is None:
        return None
    tensor = weight.const_value
    if tensor.dtype != ir.DataType.FLOAT or tensor.nbytes < _LARGE or len(weight.uses()) != 1:
        return None
    sizes = [size for size in x.shape if isinstance(size, int)]
    side = int(tensor.shape.numpy()[2])
    if len(sizes) != 4 or sizes[0] != 1 or tensor.shape[1] != sizes[1] or sizes[2] % side or sizes[3] % side:
        return None
    if list(tensor.shape[2:]) != [side] * 2 or _integers(node, "strides", [1, 1]) != [side] * 2:
        return None
    plain = _integers(node, "pads", [0] * 4) == [0] * 4 and _integers(node, "dilations", [1, 1]) == [1, 1]
    padded = "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string() != "NOTSET"
    return _Window(sizes[1], sizes[2], sizes[3], side) if plain and not padded else None


def _replace(graph: ir.Graph, conv: ir.Node, window: _Window) -> None:
    """Y [M, pixels] = weights [M, channels * side * side] times the squares' pixels, plus the bias [M, 1]."""
    x, weight, *rest = conv.inputs
    assert x is not None
    assert weight is not None
    assert weight.const_value is not None
    values = weight.const_value.numpy()
    rows, side = len(values), window.side
    nodes: list[ir.Node] = []

    def add(operator: str, inputs: list[ir.Value], attributes: dict[str, int] | None = None) -> ir.Value:
        name = f"{(conv.name or '').removesuffix('/Conv')}/{operator}"
        taken = sum((node.name or "").startswith(name) for node in nodes)
        node = ir.node(operator, inputs, attributes, name=f"{name}_{taken + 1}" if taken else name)
        nodes.append(node)
        return node.outputs[0]

    def constant(kind: str, array: np.ndarray[tuple[int, ...], np.dtype[np.int64 | np.float32]]) -> ir.Value:
        tensor = ir.tensor(array, name=f"{conv.outputs[0].name}/{kind}")
        value = ir.Value(
            name=tensor.name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape)
        )
        graph.register_initializer(value)
        return value

    if side > 1:
        # Leaves the pixels of a square as channels: (row, column, channel).
        x = add("SpaceToDepth", [x], {"blocksize": side})
        values = values.transpose(0, 2, 3, 1)
    columns = add("Reshape", [x, constant("matrix", np.array([window.channels * side * side, -1]))])
    matrix = constant("weights", np.ascontiguousarray(values.reshape(rows, -1)))
    inputs = [matrix, columns]
    if rest and rest[0] is not None:
        assert rest[0].const_value is not None
        inputs.append(constant("bias", rest[0].const_value.numpy().reshape(rows, 1)))
    product = add("Gemm", inputs)
    result = add("Reshape", [product, constant("map", np.array([1, rows, *window.pixels]))])
    old = conv.outputs[0]
    result.name, result.shape, result.type = old.name, old.shape, old.type
    ir.convenience.replace_nodes_and_values(graph, conv, [conv], nodes, [old], [result])


def _integers(node: ir.Node, attribute: str, default: list[int]) -> list[int]:
    return list(node.attributes[attribute].as_ints()) if attribute in node.attributes else default

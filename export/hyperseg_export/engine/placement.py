"""Where the plugins' inputs lie, so that TensorRT for RTX need not copy them first. None of it changes a value.

It writes maps channels last, yet hands them to a plugin as NCHW, after a layer that transposes, unless the plugin takes
nothing else. And it makes matrix products with an even number of columns (a multiple of eight in float16 if the engine
is for Turing too), and one product of several that share a factor, and then copies out of the result what each reader
asked for. So:

- operators whose X a standard operator makes get the attribute `channels_last`;
- the weight mapper's products A [N, T, G, c] x W [T, c, L] get the columns that they are given anyway, those that share
  A become one, and their readers get `piece_begin` and `piece_length`: where in the rows of theta their pieces lie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hyperseg_export.engine.readers import readers_of
from hyperseg_export.operators import DOMAIN

_DYNAMIC = ("DPWConv", "DPWInvertedResidual")
_THETA = 1


@dataclass(frozen=True)
class _Product:
    """A MatMul that makes one theta, in the form of a Reshape to [N, T, N_h, N_w, L]."""

    node: NodeProto
    weights: TensorProto
    reshape: NodeProto
    readers: tuple[NodeProto, ...]

    @property
    def length(self) -> int:
        return int(self.weights.dims[2])


def place_inputs(model: ModelProto, columns: int) -> None:
    """Rewrites `model` in place for TensorRT for RTX, with products of a multiple of `columns`. ONNX Runtime no longer
    takes it then."""
    _ask_for_channels_last(model.graph)
    groups: defaultdict[tuple[str, int], list[_Product]] = defaultdict(list)
    for product in _products(model.graph):
        groups[product.node.input[0], product.weights.dims[0]].append(product)
    for products in groups.values():
        if len(products) > 1 or products[0].length % columns:
            _share_rows(model.graph, products, columns)


def _ask_for_channels_last(graph: GraphProto) -> None:
    ours = {name for node in graph.node if node.domain == DOMAIN for name in node.output}
    for node in graph.node:
        if _reads_theta(node) and node.input[0] not in ours:
            node.attribute.append(helper.make_attribute("channels_last", 1))


def _reads_theta(node: NodeProto) -> bool:
    return node.domain == DOMAIN and node.op_type in _DYNAMIC


def _products(graph: GraphProto) -> Iterator[_Product]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = readers_of(graph)
    for node in graph.node:
        weights = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or len(weights.dims) != 3:
            continue
        for reshape in readers[node.output[0]]:
            users = readers[reshape.output[0]]
            if reshape.op_type == "Reshape" and users and all(_is_theta(reshape.output[0], user) for user in users):
                yield _Product(node, weights, reshape, tuple(users))


def _is_theta(name: str, user: NodeProto) -> bool:
    return _reads_theta(user) and user.input[_THETA] == name


def _share_rows(graph: GraphProto, products: Sequence[_Product], multiple: int) -> None:
    """Makes one product of all, with rows of a multiple of `multiple` weights, where the first one was."""
    first = products[0]
    begin, columns = 0, []
    for product in products:
        weights = numpy_helper.to_array(product.weights)
        spare = -product.length % multiple
        columns.append(np.pad(weights, ((0, 0), (0, 0), (0, spare))))
        for reader in product.readers:
            reader.input[_THETA] = first.reshape.output[0]
            reader.attribute.append(helper.make_attribute("piece_begin", begin))
            reader.attribute.append(helper.make_attribute("piece_length", product.length))
        begin += product.length + spare
    rows = numpy_helper.from_array(np.concatenate(columns, axis=2), f"{first.weights.name}_rows")
    graph.initializer.append(rows)
    first.node.input[1] = rows.name
    _set_last_extent(graph, first.reshape, begin)
    for product in products[1:]:
        graph.node.remove(product.reshape)
        graph.node.remove(product.node)
    stale = {first.node.output[0], first.reshape.output[0]}
    for value in [value for value in graph.value_info if value.name in stale]:
        graph.value_info.remove(value)


def _set_last_extent(graph: GraphProto, reshape: NodeProto, length: int) -> None:
    """The shape is a constant, or computed where the resolution is open."""
    shape, name = reshape.input[1], f"{reshape.output[0]}_rows"
    constant = next((tensor for tensor in graph.initializer if tensor.name == shape), None)
    if constant is not None:
        extents = numpy_helper.to_array(constant).copy()
        extents[-1] = length
        graph.initializer.append(numpy_helper.from_array(extents, name))
    else:
        for suffix, value in (("begin", 0), ("end", 4), ("length", length)):
            graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), f"{name}_{suffix}"))
        kept = helper.make_node("Slice", [shape, f"{name}_begin", f"{name}_end"], [f"{name}_kept"], name=f"{name}_kept")
        joined = helper.make_node("Concat", [f"{name}_kept", f"{name}_length"], [name], name=name, axis=0)
        index = list(graph.node).index(reshape)
        graph.node.insert(index, joined)
        graph.node.insert(index, kept)
    reshape.input[1] = name

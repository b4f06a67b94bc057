"""Lays out plugin inputs so that TensorRT for RTX inserts no copies. No value changes.

TensorRT for RTX computes maps channels last, but transposes them to NCHW before a plugin, unless the plugin requires
channels last. It also pads matrix products to an even number of columns (a multiple of eight in float16 if the engine
is for Turing too), merges products that share a factor, and then copies each consumer's part out of the result.
Therefore operators whose X is an output of a standard operator get the attribute `channels_last`, and the weight
mappers' products A [N, T, G, c] x W [T, c, L] that share A are merged here, with the padded number of columns:

    A ─► MatMul W1 ─► Reshape ─► theta1 ─► DPWConv        A ─► MatMul [W1 | 0 | W2 | 0] ─► Reshape ─► theta
    A ─► MatMul W2 ─► Reshape ─► theta2 ─► DPWConv        theta ─► DPWConv(piece_begin, piece_length), twice

`piece_begin` and `piece_length` are the position of an operator's pieces in the rows of theta. ONNX Runtime does not
support these attributes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from hyperseg_export.operators import DOMAIN
from hyperseg_export.passes.surgery import fresh_name, insert_before, remove

_DYNAMIC = ("DPWConv", "DPWInvertedResidual")
_THETA = 1


@dataclass(frozen=True)
class _Product:
    """A MatMul that computes one theta, followed by a Reshape to [N, T, N_h, N_w, L]."""

    node: gs.Node
    reshape: gs.Node
    readers: tuple[gs.Node, ...]

    @property
    def weights(self) -> gs.Constant:
        return self.node.inputs[1]

    @property
    def length(self) -> int:
        return int(self.weights.shape[2])


def lay_out_plugin_inputs(graph: gs.Graph, columns: int = 2) -> None:
    """Edits the graph in place for TensorRT for RTX, with products of a multiple of `columns`."""
    _ask_for_channels_last(graph)
    groups: defaultdict[tuple[int, int], list[_Product]] = defaultdict(list)
    for product in _products(graph):
        groups[id(product.node.inputs[0]), product.weights.shape[0]].append(product)
    for products in groups.values():
        if len(products) > 1 or products[0].length % columns:
            _share_rows(graph, products, columns)


def _ask_for_channels_last(graph: gs.Graph) -> None:
    for node in graph.nodes:
        if _reads_theta(node) and all(maker.domain != DOMAIN for maker in node.inputs[0].inputs):
            node.attrs["channels_last"] = 1


def _reads_theta(node: gs.Node) -> bool:
    return node.domain == DOMAIN and node.op in _DYNAMIC


def _products(graph: gs.Graph) -> Iterator[_Product]:
    for node in graph.nodes:
        weights = node.inputs[1] if node.op == "MatMul" else None
        if not isinstance(weights, gs.Constant) or len(weights.shape) != 3 or len(node.outputs[0].outputs) != 1:
            continue
        reshape = node.outputs[0].outputs[0]
        if reshape.op != "Reshape" or any(made.outputs[0] in graph.outputs for made in (node, reshape)):
            continue
        users = reshape.outputs[0].outputs
        if users and all(_is_theta(reshape.outputs[0], user) for user in users):
            yield _Product(node, reshape, tuple(users))


def _is_theta(tensor: gs.Tensor, user: gs.Node) -> bool:
    return _reads_theta(user) and user.inputs[_THETA] is tensor


def _share_rows(graph: gs.Graph, products: Sequence[_Product], multiple: int) -> None:
    """Merges all products into one in place of the first, with rows of a multiple of `multiple` weights."""
    first = products[0]
    begin, columns = 0, []
    for product in products:
        spare = -product.length % multiple
        columns.append(np.pad(product.weights.values, ((0, 0), (0, 0), (0, spare))))
        for reader in product.readers:
            reader.inputs[_THETA] = first.reshape.outputs[0]
            reader.attrs["piece_begin"] = begin
            reader.attrs["piece_length"] = product.length
        begin += product.length + spare
    first.node.inputs[1] = gs.Constant(
        fresh_name(graph.tensors(), f"{first.weights.name}_rows"), np.concatenate(columns, axis=2)
    )
    _set_last_extent(graph, first.reshape, begin)
    for product in products[1:]:
        remove(graph, product.reshape)
        remove(graph, product.node)
    for tensor in (first.node.outputs[0], first.reshape.outputs[0]):
        tensor.shape = None


def _set_last_extent(graph: gs.Graph, reshape: gs.Node, length: int) -> None:
    """Changes a shape that is a constant, or computed if the resolution is dynamic."""
    shape, name = reshape.inputs[1], fresh_name(graph.tensors(), f"{reshape.outputs[0].name}_rows")
    if isinstance(shape, gs.Constant):
        reshape.inputs[1] = gs.Constant(name, np.append(shape.values[:-1], np.int64(length)))
        return
    kept, extended = (gs.Variable(each, np.dtype(np.int64)) for each in (f"{name}_kept", name))
    begin, end, last = (
        gs.Constant(f"{name}_{suffix}", np.array([value], np.int64))
        for suffix, value in (("begin", 0), ("end", 4), ("length", length))
    )
    slicing = gs.Node("Slice", f"{name}_kept", {}, [shape, begin, end], [kept])
    insert_before(graph, reshape, slicing, gs.Node("Concat", name, {"axis": 0}, [kept, last], [extended]))
    reshape.inputs[1] = extended

"""The end of a network's graph: its logits before they are enlarged, from which labels of any size are computed.

The networks compute logits at a half or a quarter of the input's size. A file's own `labels` are their largest channel
after bilinear enlargement to the input's size; for another size (a frame's), the logits themselves are needed. No file
has them as an output, but every graph has them as a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

from hyperseg_runtime.onnx_file import GraphNode

_ENDS = ("labels", "logits")
_ENLARGING = frozenset({"Cast", "ArgMax", "Resize", "UpsampleArgmax"})
"""What stands between the logits and the outputs: our operator, or standard ones."""

# Field numbers of onnx.proto, as tags of length-delimited fields
_MODEL_GRAPH, _GRAPH_OUTPUT, _VALUE_NAME = (number << 3 | 2 for number in (7, 12, 1))


def low_logits_name(nodes: Sequence[GraphNode]) -> str | None:
    """The tensor [N, C, h, w] of the logits at the network's own output size; None in graphs that have no such end.

    nodes: of the whole graph, as `onnx_file.read_nodes` gives them.
    """
    producers = {output: node for node in nodes for output in node.outputs}
    name = next((end for end in _ENDS if end in producers), None)
    if name is None:
        return None
    while (node := producers.get(name)) is not None and node.operator in _ENLARGING:
        name = node.inputs[0]
    return name if name in producers and name not in _ENDS else None


def with_output(model: bytes, name: str) -> bytes:
    """The same ONNX file with one more output, of a tensor that its graph computes already.

    Serialised messages of protocol buffers that are joined are merged: repeated fields, such as a graph's outputs, are
    appended (https://protobuf.dev/programming-guides/encoding/#last-one-wins). ONNX Runtime infers type and shape.
    """
    value = _field(_VALUE_NAME, name.encode())
    return model + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, value))


def _field(tag: int, content: bytes) -> bytes:
    return _varint(tag) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])

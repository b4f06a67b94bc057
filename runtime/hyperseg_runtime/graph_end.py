"""The end of a network's graph: its logits before they are enlarged, from which labels of any size are computed.

The networks compute logits at a half or a quarter of the input's size. A file's own `labels` are their largest channel
after bilinear enlargement to the input's size; for another size (a frame's), the logits themselves are needed. No file
has them as an output, but every graph has them as a tensor. Engines have them as an output (LOW_LOGITS).

    logits [N, C, h, w] ─► UpsampleArgmax ─► Cast ─► labels       our operator
    logits [N, C, h, w] ─► Resize ─► ArgMax ─► Cast ─► labels     standard ones
    logits [N, C, H, W] ─► ArgMax ─► Cast ─► labels               networks that compute at the input's size

Only ends that compute exactly this are known. A graph may come from anywhere: in any other, there are no such logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyperseg_runtime.onnx_file import GraphNode

LOW_LOGITS = "low_logits"
"""The name of these logits among the outputs of an engine, which has them beside the file's."""
_LABELS, _LOGITS = "labels", "logits"
_OWN_DOMAIN = "hyperseg"
_PASSED = frozenset({"Cast", "Identity"})
"""Nodes between the others that change no value beyond its type."""
_BEFORE: Mapping[str, frozenset[str]] = {
    _LABELS: frozenset({"UpsampleArgmax", "ArgMax"}),
    _LOGITS: frozenset({"Resize"}),
    "UpsampleArgmax": frozenset(),
    "ArgMax": frozenset({"Resize"}),
    "Resize": frozenset(),
}
"""What computes each output, and what may stand before each operator of the end."""

# Field numbers of onnx.proto, as tags of length-delimited fields
_MODEL_GRAPH, _GRAPH_OUTPUT, _VALUE_NAME = (number << 3 | 2 for number in (7, 12, 1))


def low_logits_name(nodes: Sequence[GraphNode]) -> str | None:
    """The tensor [N, C, h, w] of the logits at the network's own output size; None in graphs that have no such end.

    It is `logits` itself in files with that output whose network computes at the input's size.

    nodes: of the whole graph, as `onnx_file.read_nodes` gives them.
    """
    producers = {output: node for node in nodes for output in node.outputs if output}
    name = _LABELS if _LABELS in producers else _LOGITS
    allowed, passed = _BEFORE[name], set()
    while (node := producers.get(name)) is not None and name not in passed:
        if node.operator in allowed and _is_of_the_end(node):
            allowed = _BEFORE[node.operator]
        elif node.operator not in _PASSED or node.domain:
            break
        if not node.inputs:
            return None
        passed.add(name)
        name = node.inputs[0]
    if name not in producers or name in passed or allowed is _BEFORE[_LABELS]:
        return None  # an input or a constant; a cycle; no argmax
    return name


def _is_of_the_end(node: GraphNode) -> bool:
    """Whether the node computes what this project's ends do: the channel's argmax, bilinear enlargement with half-pixel
    centres. Values that an attribute has by default are those of the operators' definitions (opset 11 and later)."""
    given = node.attributes
    if node.operator == "UpsampleArgmax":
        return node.domain == _OWN_DOMAIN
    if node.domain:
        return False
    if node.operator == "ArgMax":
        return given.get("axis", 0) == 1 and given.get("select_last_index", 0) == 0
    centres = given.get("coordinate_transformation_mode", "half_pixel")
    # The two differ only where a result has one pixel.
    return given.get("mode", "nearest") == "linear" and centres in ("half_pixel", "pytorch_half_pixel")


def output_field(name: str) -> bytes:
    """What, appended to an ONNX file, gives it one more output: a tensor that its graph computes already.

    Serialised messages of protocol buffers that are joined are merged: repeated fields, such as a graph's outputs, are
    appended (https://protobuf.dev/programming-guides/encoding/#last-one-wins). ONNX Runtime infers type and shape.
    """
    value = _field(_VALUE_NAME, name.encode())
    return _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, value))


def _field(tag: int, content: bytes) -> bytes:
    return _varint(tag) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])

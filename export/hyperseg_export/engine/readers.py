"""Who reads a tensor of an ONNX graph."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto


def readers_of(graph: GraphProto) -> defaultdict[str, list[NodeProto]]:
    """From each tensor's name to the nodes that read it, each once; nobody reads what is not there."""
    readers: defaultdict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in set(node.input):
            readers[name].append(node)
    return readers

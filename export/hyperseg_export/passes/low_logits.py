"""Gives a graph for TensorRT its logits at the network's own output size as an output beside the file's.

    level ─► UpsampleArgmax ─► labels        level, named low_logits, an output ─► UpsampleArgmax ─► labels

From them the session computes labels at the sizes of frames (`hyperseg_runtime.graph_end`). The tensor is there anyway,
so that the engine computes nothing more. It keeps its type: float16 in engines that compute in it.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs
from hyperseg_runtime.graph_end import LOW_LOGITS, low_logits_name
from hyperseg_runtime.onnx_file import GraphNode

from hyperseg_export.passes.surgery import fresh_name


def give_low_logits(graph: gs.Graph) -> bool:
    """Edits the graph in place; last of all, when tensors have their final types.

    Returns whether it has them: not where its end is another than our exports', or where they are an output already.
    """
    name = low_logits_name([_described(node) for node in graph.nodes])
    if name is None or any(output.name == name for output in graph.outputs):
        return False
    tensors = graph.tensors()
    logits = tensors[name]
    if LOW_LOGITS in tensors and tensors[LOW_LOGITS] is not logits:
        tensors[LOW_LOGITS].name = fresh_name(tensors, LOW_LOGITS)
    logits.name = LOW_LOGITS
    graph.outputs.append(logits)
    return True


def _described(node: gs.Node) -> GraphNode:
    return GraphNode(
        node.name,
        node.op,
        node.domain or "",
        tuple(tensor.name for tensor in node.inputs),
        tuple(tensor.name for tensor in node.outputs),
        {name: value for name, value in node.attrs.items() if isinstance(value, (int, str))},
    )

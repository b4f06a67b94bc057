"""Conversions from and to uint8, which TensorRT has only at the edges of a network, and only to and from floats.

`DataType::kUINT8` in NvInferRuntimeBase.h, the same in TensorRT 10.0 to 11.1: conversions are "only supported for
{kFLOAT, kHALF}" and "not supported for {kINT8, kINT32, kBOOL}". Plugins have no uint8 either (`getOutputDataTypes` in
NvInferRuntime.h), and the parser refuses uint8 tensors inside the network (ModelImporter.cpp of onnx-tensorrt).

    image (uint8) ─► Cast float ─► Transpose ─► …        … ─► ArgMax (int64) ─► Cast float ─► Cast uint8 ─► labels

Both floats are exact: float32 for integers up to 2^24, float16 up to 2^11, and labels are at most 255.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from hyperseg_export.passes.surgery import fresh_name, insert_before, remove

_UINT8, _FLOAT, _HALF = np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float16)
_FLOATS = (_FLOAT, _HALF)
_MOVING = ("Reshape", "Transpose")


def cast_image_first(graph: gs.Graph) -> None:
    """Casts uint8 inputs to float32 first, whatever the graph does with them.

    Before: image ─► Transpose ─► Cast ─► …     After: image ─► Cast ─► Transpose ─► …
    """
    for image in graph.inputs:
        if image.dtype != _UINT8 or all(_target(node) in _FLOATS for node in image.outputs):
            continue
        floats = gs.Variable(fresh_name(graph.tensors(), f"{image.name}_float"), np.float32, image.shape)
        for node in list(image.outputs):
            node.inputs = [floats if tensor is image else tensor for tensor in node.inputs]
        graph.nodes.insert(0, _cast(image, floats))
        _drop_second_casts(graph, floats)


def _drop_second_casts(graph: gs.Graph, source: gs.Variable) -> None:
    """Bypasses casts of float32 tensors to float32, after nodes that only move values."""
    floats = [source]
    for tensor in floats:
        for node in list(tensor.outputs):
            if node.op in _MOVING and node.inputs[0] is tensor:
                node.outputs[0].dtype = _FLOAT
                floats.append(node.outputs[0])
            elif _target(node) == _FLOAT:
                cast = node.outputs[0]
                if cast in graph.outputs:
                    continue
                for reader in list(cast.outputs):
                    reader.inputs = [tensor if given is cast else given for given in reader.inputs]
                remove(graph, node)


def cast_labels_from_floats(graph: gs.Graph) -> None:
    """Casts integers that become uint8 to floats in between.

    Before: … ─► ArgMax ─► Cast uint8 ─► labels     After: … ─► ArgMax ─► Cast float ─► Cast uint8 ─► labels

    The float is that of the scores which the labels are the arg max of, so a graph in float16 needs no float32 tensor
    of two bytes more per pixel; `--fp16` makes the others float16 as well.
    """
    for node in list(graph.nodes):
        source = node.inputs[0] if _target(node) == _UINT8 else None
        if not isinstance(source, gs.Variable) or source.dtype is None or source.dtype in _FLOATS:
            continue
        scores = [tensor.dtype for maker in source.inputs for tensor in maker.inputs]
        floats = gs.Variable(fresh_name(graph.tensors(), f"{source.name}_float"), _FLOAT, source.shape)
        floats.dtype = _HALF if _HALF in scores else _FLOAT
        insert_before(graph, node, _cast(source, floats))
        node.inputs = [floats]


def unsupported_conversions(graph: gs.Graph) -> Iterator[tuple[gs.Node, str]]:
    """Each node with uint8 tensors that TensorRT does not support, and the reason.

    Args:
        graph: every tensor with its type (`surgery.to_graphsurgeon`); tensors without one are not judged.
    """
    for node in graph.nodes:
        # The parser makes constants of uint8 int32 (WeightsContext.cpp of onnx-tensorrt).
        given = [tensor for tensor in node.inputs if isinstance(tensor, gs.Variable) and tensor.dtype == _UINT8]
        made = [tensor for tensor in node.outputs if tensor.dtype == _UINT8]
        if given and _target(node) not in _FLOATS:
            yield node, f"reads {given[0].name} as uint8"
        elif made and _target(node) != _UINT8:
            yield node, f"computes {made[0].name} in uint8"
        elif made and node.inputs[0].dtype is not None and node.inputs[0].dtype not in _FLOATS:
            yield node, f"converts {np.dtype(node.inputs[0].dtype).name} to uint8"
        elif made and all(made[0] is not output for output in graph.outputs):
            yield node, f"converts to uint8, but {made[0].name} is no output of the network"


def _target(node: gs.Node) -> np.dtype[np.generic] | None:
    """The type that a Cast converts to, where NumPy has it; None for other nodes."""
    if node.op != "Cast":
        return None
    kind = int(node.attrs["to"])
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))


def _cast(source: gs.Tensor, target: gs.Variable) -> gs.Node:
    kind = int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(target.dtype)))
    return gs.Node("Cast", f"{target.name}_cast", {"to": kind}, [source], [target])

"""The graph as TensorRT takes it: what differs between ONNX Runtime and TensorRT is evened out here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg_export.engine.averages import join_averages
from hyperseg_export.engine.errors import EngineError
from hyperseg_export.engine.products import restore_convolutions
from hyperseg_export.operators import DOMAIN

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_MOVING = ("Reshape", "Transpose")

PLUGINS = ("DPWConv", "DPWInvertedResidual", "UpsampleArgmax")
"""The operators that have a TensorRT plugin. Others of ours exist for the CPU only and are lowered below."""


def lower(model: ModelProto) -> None:
    """Rewrites `model` in place so that TensorRT's parser takes it."""
    _lower_cpu_operators(model)
    restore_convolutions(model.graph)
    join_averages(model.graph)
    _drop_absent_inputs(model)
    _cast_bytes_first(model)


def _lower_cpu_operators(model: ModelProto) -> None:
    """Writes our operators that only the CPU has in standard ones."""
    names = {node.op_type for node in model.graph.node if node.domain == DOMAIN and node.op_type not in PLUGINS}
    if not names:
        return
    try:
        import onnx_ir as ir
        from onnx_ir.passes import common

        from hyperseg_export.lowering import lower as lower_operators
    except ImportError as error:
        raise EngineError(
            f"{', '.join(sorted(names))}: to be written in standard operators, which needs onnx-ir; pip install onnx-ir"
        ) from error
    rewritten = ir.serde.deserialize_model(model)
    try:
        lower_operators(rewritten, keep=PLUGINS)
    except ValueError as error:
        raise EngineError(f"{error}; update hyperseg, or export the model again") from error
    # Weight mappers that were fused with their readers no longer share what they have in common.
    common.DeduplicateInitializersPass()(rewritten)
    common.CommonSubexpressionEliminationPass()(rewritten)
    properties = list(model.metadata_props)
    model.CopyFrom(ir.serde.serialize_model(rewritten))
    if not model.metadata_props:
        model.metadata_props.extend(properties)


def _drop_absent_inputs(model: ModelProto) -> None:
    """TensorRT's parser passes an optional input that is left out (an empty name) on as a null tensor and fails. The
    plugins tell their optional inputs apart by rank, so the gaps can be closed."""
    for node in model.graph.node:
        if node.domain == DOMAIN and "" in node.input:
            present = [name for name in node.input if name]
            del node.input[:]
            node.input.extend(present)


def _cast_bytes_first(model: ModelProto) -> None:
    """TensorRT has uint8 at the network's edge only: whatever is done with the image, a Cast has to come first."""
    from onnx import TensorProto, helper

    for value in model.graph.input:
        if value.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        readers = [node for node in model.graph.node if value.name in node.input]
        if all(node.op_type == "Cast" for node in readers):
            continue
        name = f"{value.name}_float"
        for node in readers:
            node.input[:] = [name if given == value.name else given for given in node.input]
        cast = helper.make_node("Cast", [value.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
        _drop_second_casts(model.graph, name)
        del model.graph.value_info[:]  # what it says of types is no longer true


def _drop_second_casts(graph: GraphProto, source: str) -> None:
    """Casts of what is float32 already, behind nodes that only move values."""
    from onnx import TensorProto

    floats = {source}
    for node in list(graph.node):
        if floats.isdisjoint(node.input):
            continue
        if node.op_type in _MOVING:
            floats.update(node.output)
        elif node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT:
            for reader in graph.node:
                reader.input[:] = [node.input[0] if name == node.output[0] else name for name in reader.input]
            graph.node.remove(node)

"""What is done to the exporter's graph before it is written: nodes named by part, nothing left to compute."""

from __future__ import annotations

import ast
from collections import Counter

import onnx_ir as ir
import onnxscript.optimizer
from onnx_ir.passes import common

from hyperseg_export.fusion import averages_pixels, fuse_encoder
from hyperseg_export.lowering import lower
from hyperseg_export.mappers import fuse_mappers
from hyperseg_export.meta_blocks import fuse_meta_blocks
from hyperseg_export.products import use_products

_SCOPES = "pkg.torch.onnx.name_scopes"
_ROOT = "network."

_LARGEST_FOLD = 1 << 20
"""Constants up to this many bytes are computed now; a larger result (full-size coordinates) would bloat the file."""


def finish(model: ir.Model, portable: bool, fuse: bool = False) -> None:
    """Edits the exporter's model in place.

    `portable` replaces our operators by standard ones; `fuse` makes blocks of encoder and decoder one operator each,
    DPWConvs of small patches one with their weight mappers, and large convolutions matrix products.
    """
    name_nodes(model.graph)
    if portable:
        lower(model)
    _clean(model)
    _plain_reshapes(model.graph)
    if fuse and not portable:
        fuse_encoder(model)
        fuse_meta_blocks(model)
        fuse_mappers(model)
        use_products(model)
        common.TopologicalSortPass()(model)
    _short_sums(model.graph)
    common.RemoveUnusedNodesPass()(model)
    common.ClearMetadataAndDocStringPass()(model)
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.graph.name = "hyperseg"
    model.ir_version = ir_version(model.opset_imports[""])


def ir_version(opset: int) -> int:
    """The oldest file format that holds this opset, so that old runtimes read the file."""
    return 9 if opset <= 20 else 10 if opset <= 22 else 11


def name_nodes(graph: ir.Graph) -> None:
    """Names every node by the module it came from: "backbone.blocks.3.project/Conv", for profiles and messages."""
    seen: Counter[str] = Counter()
    for node in graph:
        name = f"{_module(node)}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _module(node: ir.Node) -> str:
    text = node.metadata_props.get(_SCOPES, "[]")
    scopes = [str(scope) for scope in ast.literal_eval(text)]
    innermost = scopes[-2] if len(scopes) > 1 else ""
    return innermost.removeprefix(_ROOT) if innermost.startswith(_ROOT) else "deployment"


def _clean(model: ir.Model) -> None:
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    onnxscript.optimizer.fold_constants_ir(
        model, onnx_shape_inference=False, input_size_limit=_LARGEST_FOLD, output_size_limit=_LARGEST_FOLD
    )
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.IdentityEliminationPass()(model)
    common.DeduplicateInitializersPass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)


def _plain_reshapes(graph: ir.Graph) -> None:
    """Drops `allowzero` where the shape has no zero: it changes nothing, and some parsers refuse it."""
    for node in graph:
        if node.op_type == "Reshape" and "allowzero" in node.attributes:
            shape = node.inputs[1]
            if shape is not None and shape.const_value is not None and shape.const_value.numpy().all():
                node.attributes.pop("allowzero")


def _short_sums(graph: ir.Graph) -> None:
    """Averages over pixels by way of averages over rows.

    Over a picture of one colour all values of a map are nearly equal, and rounding errors of a long sum do not cancel.
    A portable file of a cityscapes-s was off by 1.1 in ONNX Runtime; with short sums it is by 0.04 at most.
    """
    for node in list(graph):
        if node.op_type != "ReduceMean" or not averages_pixels(node) or not _keeps_axes(node):
            continue
        rows = ir.node("ReduceMean", [node.inputs[0], _axis(graph, 3)], {"keepdims": 1}, name=f"{node.name}_rows")
        graph.insert_before(node, rows)
        node.replace_input_with(0, rows.outputs[0])
        node.replace_input_with(1, _axis(graph, 2))


def _keeps_axes(node: ir.Node) -> bool:
    return len(node.inputs) == 2 and ("keepdims" not in node.attributes or node.attributes["keepdims"].as_int() == 1)


def _axis(graph: ir.Graph, axis: int) -> ir.Value:
    """The constant [axis]."""
    name = f"axis_{axis}"
    if name not in graph.initializers:
        tensor = ir.tensor([axis], ir.DataType.INT64, name)
        value = ir.Value(name=name, const_value=tensor, shape=ir.Shape([1]), type=ir.TensorType(tensor.dtype))
        graph.register_initializer(value)
    return graph.initializers[name]

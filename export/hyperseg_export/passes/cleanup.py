"""Cleanup of the exported graph: node names, constant folding, shared subexpressions, metadata."""

from __future__ import annotations

import ast
from collections import Counter

import onnx_ir as ir
import onnxscript.optimizer
from onnx_ir.passes import common

_SCOPES = "pkg.torch.onnx.name_scopes"
_ROOT = "network."

_LARGEST_FOLD = 1 << 20
"""Constants up to this many bytes are computed now; a larger result (full-size coordinates) would bloat the file."""


def name_nodes(model: ir.Model) -> int:
    """Names every node by the module it came from: "backbone.blocks.3.project/Conv", for profiles and messages."""
    seen: Counter[str] = Counter()
    for node in model.graph:
        name = f"{_module(node)}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return seen.total()


def _module(node: ir.Node) -> str:
    text = node.metadata_props.get(_SCOPES, "[]")
    scopes = [str(scope) for scope in ast.literal_eval(text)]
    innermost = scopes[-2] if len(scopes) > 1 else ""
    return innermost.removeprefix(_ROOT) if innermost.startswith(_ROOT) else "deployment"


def simplify(model: ir.Model) -> int:
    """Folds constants, shares common subexpressions, and removes unused nodes."""
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
    return _drop_allowzero(model)


def sort(model: ir.Model) -> int:
    """Sorts the nodes topologically; a fused node takes the place of its last part."""
    return int(bool(common.TopologicalSortPass()(model).modified))


def finish(model: ir.Model) -> None:
    """Removes unused nodes and the exporter's metadata."""
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


def _drop_allowzero(model: ir.Model) -> int:
    """Removes `allowzero` from Reshapes whose shape has no zero: it has no effect there, and some parsers refuse it."""
    count = 0
    for node in model.graph:
        if node.op_type == "Reshape" and "allowzero" in node.attributes:
            shape = node.inputs[1]
            if shape is not None and shape.const_value is not None and shape.const_value.numpy().all():
                node.attributes.pop("allowzero")
                count += 1
    return count

"""ONNX Runtime on the CPU, as the measure of other runtimes."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
import onnxruntime
from hyperseg_runtime.libraries import Library, find

from hyperseg_export.errors import ExportError
from hyperseg_export.lowering import lower
from hyperseg_export.operators import DOMAIN


def open_reference(model: onnx.ModelProto, progress: Callable[[str], None]) -> onnxruntime.InferenceSession:
    """A session of the model; our operators become standard ones where our library is not built, which `progress` is
    told. Raises ExportError where ONNX Runtime does not take the model."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    # Untrained networks fade out into denormal numbers, which processors handle a hundred times slower.
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it alternates with PyTorch's threads
    if any(node.domain == DOMAIN for node in model.graph.node):
        library = find(Library.ONNXRUNTIME)
        if library is None:
            progress(f"{Library.ONNXRUNTIME.value} is not built: comparing with our operators in standard ones")
            model = in_standard_operators(model)
        else:
            settings.register_custom_ops_library(str(library))
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise ExportError(f"ONNX Runtime does not take the exported file: {' '.join(str(error).split())}") from error


def in_standard_operators(model: onnx.ModelProto, keep: tuple[str, ...] = ()) -> onnx.ModelProto:
    """A copy without our operators, but for those named in `keep`."""
    graph = ir.from_proto(model)
    lower(graph, keep)
    return ir.to_proto(graph)

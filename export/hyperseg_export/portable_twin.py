"""The twin of a model in standard operators, for machines without our library; it borrows the model's weights.

    python -m hyperseg_export.portable_twin NAME.onnx      # writes NAME.portable.onnx beside it

A tensor of an ONNX file may lie in another file, at an offset: here, inside NAME.onnx itself. So the pair that ships
with the package is hardly larger than the model alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
from hyperseg_runtime.discovery import PORTABLE_SUFFIX
from hyperseg_runtime.output_files import replacing
from onnx.external_data_helper import set_external_data

from hyperseg_export.errors import ExportError
from hyperseg_export.lowering import lower

_SMALLEST_BORROWED = 1024
"""Bytes. Smaller tensors stay in the twin: they are shapes and axes, which runtimes read early."""


def write_portable_twin(model: Path) -> Path:
    """Writes NAME.portable.onnx beside NAME.onnx and returns its path. Raises ExportError, OutputError."""
    try:
        content = model.read_bytes()
        graph = ir.from_proto(onnx.load_model_from_string(content))
    except OSError as error:
        raise ExportError(f"{model} cannot be read: {error.strerror or error}") from error
    if not lower(graph):
        raise ExportError(f"{model} has none of our operators: it is portable already")
    twin = ir.to_proto(graph)
    for tensor in twin.graph.initializer:
        offset = content.find(tensor.raw_data) if len(tensor.raw_data) >= _SMALLEST_BORROWED else -1
        if offset >= 0:
            set_external_data(tensor, location=model.name, offset=offset, length=len(tensor.raw_data))
            tensor.ClearField("raw_data")
    target = model.with_suffix(PORTABLE_SUFFIX)
    with replacing(target, True) as draft:
        draft.write_bytes(twin.SerializeToString())
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(write_portable_twin(Path(sys.argv[1])))  # noqa: T201 - a tool of the package's makers, not a command

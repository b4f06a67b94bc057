"""Makes the model that ships with the package, and its variant in standard operators.

    python -m hyperseg_export.shipped_model camvid-lite.pth runtime/hyperseg_runtime/models/camvid-lite.onnx
    python -m hyperseg_export.shipped_model camvid-lite.onnx      # writes only camvid-lite.portable.onnx

Weights are stored in float16; the arithmetic is float32. Each large weight is followed by a cast that every runtime
folds when it loads the file, so that the file has half the size and the same speed. The file is compared with the
checkpoint again after the rounding. Its resolution is dynamic, so that `--resolution` trades accuracy for speed.

The portable variant refers to the model's weights: a tensor of an ONNX file may be in another file, at an offset, here
in the model. The pair is therefore hardly larger than the model alone.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from hyperseg_runtime.discovery import PORTABLE_SUFFIX
from hyperseg_runtime.metadata import KEY, Metadata, Precision, Target
from hyperseg_runtime.output_files import replacing
from onnx import numpy_helper
from onnx.external_data_helper import set_external_data

import hyperseg
from hyperseg_export.errors import ExportError
from hyperseg_export.onnx_export import export_onnx
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.passes.standard_operators import to_standard_operators
from hyperseg_export.verification import verify

_SMALLEST_HALVED = 512
"""Elements. Biases and shapes below stay as they are."""

_SMALLEST_BORROWED = 1024
"""Bytes. Smaller tensors stay in the portable file: they are shapes and axes, which runtimes read early."""


def halve_weights(model: onnx.ModelProto) -> int:
    """Store the large float32 weights of a model as float16, in place; returns their number."""
    halved: list[onnx.TensorProto] = []
    casts: list[onnx.NodeProto] = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        stored = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
        casts.append(onnx.helper.make_node("Cast", [stored.name], [tensor.name], to=onnx.TensorProto.FLOAT))
        model.graph.initializer.remove(tensor)
        halved.append(stored)
    model.graph.initializer.extend(halved)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return len(halved)


def build(checkpoint: Path, target: Path) -> Metadata:
    """Exports, halves, compares, and writes the portable variant; returns the file's metadata."""
    options = ExportOptions(dynamic=True, force=True, verify=False)
    with replacing(target, force=True) as draft:
        export_onnx(checkpoint, draft, options)
        model = onnx.load(draft)
        halve_weights(model)
        onnx.save_model(model, draft)
        network = hyperseg.load(checkpoint)
        compared = replace(options, precision=Precision.FLOAT16)  # the tolerance that rounded weights need
        measured = verify(draft, network, compared, Resolution(*network.config.resolution))
        entry = next(entry for entry in model.metadata_props if entry.key == KEY)
        described = Metadata.from_json(entry.value, str(target)).verified(measured)
        entry.value = described.to_json()
        onnx.save_model(model, draft)
    write_portable_twin(target)
    return described


def write_portable_twin(model: Path) -> Path:
    """Writes NAME.portable.onnx next to NAME.onnx and returns its path. Raises ExportError, OutputError."""
    try:
        content = model.read_bytes()
        graph = ir.from_proto(onnx.load_model_from_string(content))
    except OSError as error:
        raise ExportError(f"{model} cannot be read: {error.strerror or error}") from error
    if not to_standard_operators(graph):
        raise ExportError(f"{model} has none of our operators: it is portable already")
    twin = ir.to_proto(graph)
    _record_origin(twin, model.name, hashlib.sha256(content).hexdigest())
    for tensor in twin.graph.initializer:
        offset = content.find(tensor.raw_data) if len(tensor.raw_data) >= _SMALLEST_BORROWED else -1
        if offset >= 0:
            set_external_data(tensor, location=model.name, offset=offset, length=len(tensor.raw_data))
            tensor.ClearField("raw_data")
    target = model.with_suffix(PORTABLE_SUFFIX)
    with replacing(target, True) as draft:
        draft.write_bytes(twin.SerializeToString())
    return target


def _record_origin(twin: onnx.ModelProto, name: str, digest: str) -> None:
    """The runtime compares the hash: offsets into another export would give wrong weights."""
    for entry in twin.metadata_props:
        if entry.key == KEY:
            entry.value = replace(
                Metadata.from_json(entry.value, name), external={name: digest}, target=Target.PORTABLE
            ).to_json()


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments]
    if len(paths) == 1 and paths[0].suffix == ".onnx":
        sys.stdout.write(f"{write_portable_twin(paths[0])}\n")
    elif len(paths) == 2:
        sys.stdout.write(f"{build(*paths).verification}\n")
    else:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

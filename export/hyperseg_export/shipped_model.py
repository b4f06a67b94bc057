"""The model that ships with the package: its weights stored in float16, and computed with in float32.

    python -m hyperseg_export.shipped_model camvid-lite.pth runtime/hyperseg_runtime/models/camvid-lite.onnx

Each large weight is followed by a cast that every runtime folds away when it loads the file, so that the file has half
the size and runs as fast as the whole. The file is compared with the checkpoint once more after the rounding. Its
size is left open, so that `--resolution` trades accuracy for speed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from hyperseg_runtime.metadata import KEY, Metadata, Precision
from hyperseg_runtime.output_files import replacing
from onnx import numpy_helper

import hyperseg
from hyperseg_export.onnx_export import export_onnx
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.portable_twin import write_portable_twin
from hyperseg_export.verification import verify

_SMALLEST_HALVED = 512
"""Elements. Biases and shapes below stay as they are."""


def halve_weights(model: onnx.ModelProto) -> int:
    """Store the large float32 weights of a model as float16, in place; returns how many."""
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
    """Export, halve, compare, and write the portable twin beside; returns what the file says of itself."""
    options = ExportOptions(dynamic=True, force=True, verify=False)
    with replacing(target, force=True) as draft:
        export_onnx(checkpoint, draft, options)
        model = onnx.load(draft)
        halve_weights(model)
        onnx.save_model(model, draft)
        network = hyperseg.load(checkpoint)
        compared = replace(options, precision=Precision.FLOAT16)  # the tolerance that rounded weights need
        measured = verify(draft, network, compared, Resolution(*network.config.resolution), lambda _: None)
        entry = next(entry for entry in model.metadata_props if entry.key == KEY)
        described = Metadata.from_json(entry.value, str(target)).verified(measured)
        entry.value = described.to_json()
        onnx.save_model(model, draft)
    write_portable_twin(target)
    return described


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(build(Path(sys.argv[1]), Path(sys.argv[2])).verification)  # noqa: T201 - a tool of the package's makers

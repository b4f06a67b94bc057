"""The file of `hyperseg-export --target tensorrt` goes to TensorRT's parser as it is, as trtexec would take it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from hyperseg_export import ExportOptions, Resolution, Target, export_onnx
from hyperseg_export.engine.process import BuildRequest, NullListener, run_build
from hyperseg_export.engine.report import audit, layers_from_builder
from hyperseg_export.samples import random_network
from hyperseg_runtime import libraries
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.metadata import Precision


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_tensorrt_for_rtx_builds_it_unprepared(precision: Precision, tmp_path: Path) -> None:
    options = ExportOptions(resolution=Resolution(64, 128), target=Target.TENSORRT, precision=precision, verify=False)
    model = export_onnx(random_network("camvid-lite"), tmp_path / "m.onnx", options).path
    request = BuildRequest(
        model=str(model),
        plan=str(tmp_path / "m.engine"),
        flavour=Flavour.RTX,
        plugin_library=str(libraries.require(libraries.Library.TENSORRT)),
        compute_capabilities=("8.6",),
    )
    layers = audit(layers_from_builder(run_build(request, NullListener())))
    assert (tmp_path / "m.engine").stat().st_size > 0
    assert layers.plugin_layers > 0
    assert bool(layers.half_layers) is (precision is Precision.FLOAT16)

"""Every test vector through the plugins, on the device."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from engines.graphs import for_tensorrt
from hyperseg_export.engine.options import EngineOptions, choose_target
from hyperseg_export.engine.process import BuildRequest, NullListener, run_build
from hyperseg_runtime import libraries
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from vectors import CASES, Placement, assert_matches, on_cuda

from .device import run_plan
from .vector_model import vector_model

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("tensorrt_gpu")]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("operator", ["DPWConv", "DPWInvertedResidual", "UpsampleArgmax"])
def test_vectors(operator: str, dtype: str, tmp_path: Path) -> None:
    _run(operator, dtype, tmp_path, Placement())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("operator", ["DPWConv", "DPWInvertedResidual"])
def test_vectors_in_other_places(operator: str, dtype: str, tmp_path: Path) -> None:
    """X channels last, theta's pieces within wider rows."""
    _run(operator, dtype, tmp_path, Placement(before=4, behind=4), channels_last=True)


def _run(operator: str, dtype: str, tmp_path: Path, rows: Placement, *, channels_last: bool = False) -> None:
    cases = [case for case in CASES if case.operator == operator and case.dtype == dtype]
    target = choose_target(EngineOptions())
    # kHWC for float16: TensorRT for RTX has it, of TensorRT only newer releases do.
    channels_last = channels_last and (dtype == "float32" or target.tensorrt.flavour is Flavour.RTX)
    model, inputs = vector_model(cases, rows=rows, channels_last=channels_last)
    model = for_tensorrt(model)
    library = libraries.require(libraries.Library.TENSORRT)
    source, plan = tmp_path / "vectors.onnx", tmp_path / "vectors.engine"
    source.write_bytes(model.SerializeToString())
    capabilities = target.compute_capabilities if target.ahead_of_time else ()
    request = BuildRequest(str(source), str(plan), target.tensorrt.flavour, str(library), capabilities)
    run_build(request, NullListener())
    outputs = run_plan(
        plan.read_bytes(),
        inputs,
        tensorrt=target.tensorrt,
        cuda=import_module("pycuda.driver"),
        plugin_library=library,
    )
    for index, case in enumerate(cases):
        assert_matches(case, outputs[f"out_{index}"], on_cuda(case))

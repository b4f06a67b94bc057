"""Every test vector through the plugins, on the device."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from hyperseg_export.engine.listener import Silence
from hyperseg_export.engine.lowering import lower
from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.engine.process import run_build
from hyperseg_export.engine.request import BuildRequest
from hyperseg_export.engine.targets import choose
from hyperseg_runtime import libraries
from vectors import CASES, assert_matches

from .device import run_plan
from .vector_model import vector_model

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("operator", ["DPWConv", "DPWInvertedResidual", "UpsampleArgmax"])
def test_vectors(operator: str, dtype: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if case.operator == operator and case.dtype == dtype]
    model, inputs = vector_model(cases)
    lower(model)
    target = choose(EngineOptions())
    library = libraries.require(libraries.Library.TENSORRT)
    source, plan = tmp_path / "vectors.onnx", tmp_path / "vectors.engine"
    source.write_bytes(model.SerializeToString())
    capabilities = target.compute_capabilities if target.ahead_of_time else ()
    request = BuildRequest(str(source), str(plan), target.tensorrt.flavour, str(library), capabilities)
    run_build(request, Silence())
    outputs = run_plan(
        plan.read_bytes(),
        inputs,
        tensorrt=target.tensorrt,
        cuda=import_module("pycuda.driver"),
        plugin_library=library,
    )
    for index, case in enumerate(cases):
        assert_matches(case, outputs[f"out_{index}"])

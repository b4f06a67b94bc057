"""The code of the `gpu` suite, run with test doubles, so that its errors are found without a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu.device import run_plan
from gpu.vector_model import vector_model
from hyperseg_export.engine import EngineOptions
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.hosts.nvinfer_graph import for_nvinfer
from hyperseg_export.options import Resolution
from hyperseg_runtime import libraries
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from vectors import CASES, assert_matches

from .graphs import HEIGHT, WIDTH, miniature, save
from .sessions import RTX_VERSION, VERSION, Machine, labels_of, random_images

pytestmark = pytest.mark.skipif(
    libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built"
)


@pytest.mark.parametrize(("version", "flavour"), [(VERSION, Flavour.TENSORRT), (RTX_VERSION, Flavour.RTX)])
@pytest.mark.parametrize("operator", ["DPWConv", "DPWInvertedResidual", "UpsampleArgmax"])
def test_vectors_in_one_model(operator: str, version: str, flavour: Flavour) -> None:
    cases = [case for case in CASES if case.operator == operator][:8]
    model, inputs = vector_model(cases)
    machine = Machine(version, flavour)
    outputs = run_plan(
        machine.plan(model),
        inputs,
        tensorrt=machine.tensorrt,
        cuda=machine.cuda,
        plugin_library=Path(__file__),
        driver=machine.driver,
    )
    for index, case in enumerate(cases):
        assert_matches(case, outputs[f"out_{index}"])
    machine.assert_all_released()


def test_the_plan_for_nvinfer(tmp_path: Path) -> None:
    """The steps of tests/gpu/test_hosts.py from the model to the labels."""
    model = miniature()
    edited = for_nvinfer(read_model(save(model, tmp_path / "m.onnx")), Resolution(HEIGHT, WIDTH))
    images = random_images(HEIGHT, WIDTH)
    machine = Machine()
    outputs = run_plan(
        machine.plan(prepare(edited, EngineOptions()).proto),
        {"image": images.transpose(0, 3, 1, 2).astype(np.float32)},
        tensorrt=machine.tensorrt,
        cuda=machine.cuda,
        plugin_library=Path(__file__),
        driver=machine.driver,
    )
    assert outputs["labels"].dtype == np.int32
    np.testing.assert_array_equal(outputs["labels"][..., 0], labels_of(model, images))
    machine.assert_all_released()

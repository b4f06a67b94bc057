"""Fixtures of the engine tests."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from hyperseg_export.engine.process import BuildRequest
from hyperseg_runtime import libraries
from hyperseg_runtime.backends import cuda
from hyperseg_runtime.backends.tensorrt_flavour import Flavour

from .graphs import for_tensorrt, miniature, save


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    """A build of a miniature with the double of TensorRT."""
    return BuildRequest(
        model=str(save(for_tensorrt(miniature()), tmp_path / "m.onnx")),
        plan=str(tmp_path / "m.engine"),
        flavour=Flavour.TENSORRT,
        plugin_library=__file__,  # any file: the double only checks that it exists
    )


@pytest.fixture(scope="session")
def builder() -> None:
    """A TensorRT that builds without a GPU, and our plugins for it."""
    if find_spec("tensorrt_rtx") is None and find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("TensorRT for RTX is not installed (pip install tensorrt-rtx-cu13)")
    if libraries.find(libraries.Library.TENSORRT) is None:
        pytest.skip("libhyperseg_trt.so is not built (nvcc and TensorRT's headers are needed)")


@pytest.fixture
def no_gpu() -> None:
    if cuda.find_gpus().gpus:
        pytest.skip("this machine has a GPU")

"""Fixtures of the engine tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from hyperseg_runtime import libraries
from hyperseg_runtime.backends import cuda


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

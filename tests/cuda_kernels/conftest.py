from pathlib import Path

import pytest

from .build import compile_for_cpu
from .kernels import Kernels


@pytest.fixture(scope="session")
def kernel_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA kernels, compiled for the CPU; their objects lie beside the library."""
    folder: Path = tmp_path_factory.mktemp("cuda")
    return compile_for_cpu(folder / "libhyperseg_cuda.so", "library.cpp", ["-O2", "-fPIC", "-shared"])


@pytest.fixture(scope="session")
def kernels(kernel_library: Path) -> Kernels:
    return Kernels(kernel_library)

from pathlib import Path

import pytest

from .build import compile_for_cpu
from .kernels import Kernels


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The CUDA kernels, compiled for the CPU."""
    folder: Path = tmp_path_factory.mktemp("cuda")
    return Kernels(compile_for_cpu(folder / "libhyperseg_cuda.so", "library.cpp", ["-O2", "-fPIC", "-shared"]))

from pathlib import Path

import pytest
from cuda_on_cpu.build import OPTIMISED, compile_for_cpu
from cuda_on_cpu.kernels import Kernels
from toolchain import require_cuda_on_cpu

from hyperseg.cuda_library import FILE_NAME


@pytest.fixture(scope="session")
def kernel_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA kernels, compiled for the CPU; their object files are in the library's folder."""
    require_cuda_on_cpu()
    return compile_for_cpu(tmp_path_factory.mktemp("cuda") / FILE_NAME, "library.cpp", [*OPTIMISED, "-shared"])


@pytest.fixture(scope="session")
def kernels(kernel_library: Path) -> Kernels:
    return Kernels(kernel_library)

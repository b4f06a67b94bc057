"""Skips tests whose compilers or headers are not installed."""

from __future__ import annotations

import pytest
from cuda_on_cpu.build import missing_toolchain


def require_cuda_on_cpu() -> None:
    """Skips the test if the CUDA kernels cannot be compiled for the CPU."""
    if reason := missing_toolchain():
        pytest.skip(reason)

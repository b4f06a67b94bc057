"""Skips tests that cannot run on this machine, with hyperseg-doctor's reason."""

from __future__ import annotations

import pytest
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.backends.selection import availability


def _require(backend: BackendName) -> None:
    found = availability(backend)
    if not found.available:
        pytest.skip(found.detail)


@pytest.fixture(scope="session")
def tensorrt_gpu() -> None:
    _require(BackendName.TENSORRT)


@pytest.fixture(scope="session")
def onnxruntime_gpu() -> None:
    _require(BackendName.ONNXRUNTIME_CUDA)

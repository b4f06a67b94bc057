"""Skips the suite where an engine cannot run, with the reason that hyperseg-doctor gives."""

from __future__ import annotations

import pytest
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.protocol import BackendName


@pytest.fixture(autouse=True, scope="session")
def gpu() -> None:
    found = tensorrt.availability(BackendName.TENSORRT)
    if not found.available:
        pytest.skip(found.detail)

from pathlib import Path

import pytest
from hyperseg_runtime.libraries import Library, find


@pytest.fixture(scope="session")
def library() -> Path:
    """The runtime's libhyperseg_ort.so."""
    path = find(Library.ONNXRUNTIME)
    if path is None:
        pytest.skip("libhyperseg_ort.so is not built")
    return path

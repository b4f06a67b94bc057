from pathlib import Path

import pytest
from hyperseg_runtime.libraries import Library, find


@pytest.fixture(scope="session")
def library() -> Path:
    """libhyperseg_ort.so, where the runtime finds it."""
    path = find(Library.ONNXRUNTIME)
    if path is None:
        pytest.skip("libhyperseg_ort.so is not built")
    return path

"""Exported and required symbols of libhyperseg_trt.so."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hyperseg_runtime import libraries

LIBRARY = libraries.find(libraries.Library.TENSORRT)

pytestmark = pytest.mark.skipif(
    LIBRARY is None or shutil.which("nm") is None, reason="libhyperseg_trt.so or binutils are missing"
)


def _symbols(option: str) -> set[str]:
    done = subprocess.run(["nm", "-D", option, str(LIBRARY)], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines() if line.split()[-2] in ("T", "U")}


def test_only_what_tensorrt_looks_up_is_visible() -> None:
    assert _symbols("--defined-only") == {"getCreators", "setLoggerFinder"}


def test_nothing_of_tensorrt_is_called() -> None:
    """Otherwise one build would not work with TensorRT 10, TensorRT 11 and RTX."""
    wanted = _symbols("--undefined-only")
    assert not {name for name in wanted if "nvinfer" in name or "Plugin" in name}


def test_it_loads() -> None:
    assert libraries.load_error(libraries.Library.TENSORRT) is None

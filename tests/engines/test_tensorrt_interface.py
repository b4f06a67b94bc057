"""The plugins against the headers of several releases of TensorRT, and our declarations of its plugin interface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cuda_on_cpu.build import OPTIMISED, PLUGINS, compile_object
from toolchain import require_cuda_on_cpu

from .plugin_build import HARNESS, INTERFACE, nvidia_headers

_SOURCES = [*sorted((PLUGINS / "tensorrt").glob("*.cpp")), *sorted(HARNESS.glob("*.cpp"))]
_LOGGER = ("library", "logging")
"""In TensorRT 10 ILoggerFinder is in another namespace, so that a name in these object files differs."""


def _major(headers: Path) -> int:
    text = (headers / "NvInferVersion.h").read_text(encoding="utf-8")
    found = re.search(r"define (?:TRT_MAJOR_ENTERPRISE|NV_TENSORRT_MAJOR) (\d+)", text)
    assert found is not None, headers
    return int(found[1])


@pytest.mark.parametrize("source", _SOURCES, ids=lambda source: source.name)
def test_the_plugins_are_the_same_machine_code_with_nvidias_headers(source: Path, tmp_path: Path) -> None:
    """Sizes, offsets, values and the order of virtual functions are in it: equal files have the same interface."""
    require_cuda_on_cpu()
    releases = nvidia_headers()
    if not releases:
        pytest.skip("NVIDIA's headers of TensorRT are not here (scripts/fetch_headers.sh --tensorrt, or TensorRT_ROOT)")
    ours = compile_object(source, tmp_path / "ours.o", OPTIMISED, system=(INTERFACE,)).read_bytes()
    for number, headers in enumerate(releases):
        theirs = compile_object(source, tmp_path / f"{number}.o", OPTIMISED, system=(headers,)).read_bytes()
        if source.stem not in _LOGGER or _major(headers) > 10:
            assert theirs == ours, headers

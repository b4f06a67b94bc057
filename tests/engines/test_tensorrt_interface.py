"""Plugins and programs against the headers of several releases of TensorRT, and our declarations of its interface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cuda_on_cpu.build import OPTIMISED, PLUGINS, ROOT, compile_object
from toolchain import require_cuda_on_cpu

from .plugin_build import HARNESS, INTERFACE, nvidia_headers

_SOURCES = [*sorted((PLUGINS / "tensorrt").glob("*.cpp")), *sorted(HARNESS.glob("*.cpp"))]
_LOGGER = ("library", "logging")
"""In TensorRT 10 ILoggerFinder is in another namespace, so that a name in these object files differs."""


_REGISTRY = PLUGINS / "hosts" / "registry.cpp"
_REGISTRY_DOUBLE = Path(__file__).parent / "doubles" / "native" / "registry.cpp"
_PROGRAM = ROOT / "examples" / "cpp" / "segment_engine.cpp"
_SINCE = {_REGISTRY: (10, 0), _REGISTRY_DOUBLE: (10, 10), _PROGRAM: (11, 0)}
"""Our declarations of the registry are those of 10.10 and later, which added a function at its end; those of the
runtime are TensorRT 11's."""


def _release(headers: Path) -> tuple[int, int]:
    text = (headers / "NvInferVersion.h").read_text(encoding="utf-8")
    found = [
        re.search(rf"define (?:TRT_{part}_ENTERPRISE|NV_TENSORRT_{part}) (\d+)", text) for part in ("MAJOR", "MINOR")
    ]
    major, minor = (int(match[1]) for match in found if match is not None)
    return major, minor


def _releases() -> list[Path]:
    require_cuda_on_cpu()
    releases = nvidia_headers()
    if not releases:
        pytest.skip("NVIDIA's headers of TensorRT are not here (scripts/fetch_headers.sh --tensorrt, or TensorRT_ROOT)")
    return releases


@pytest.mark.parametrize("source", _SOURCES, ids=lambda source: source.name)
def test_the_plugins_are_the_same_machine_code_with_nvidias_headers(source: Path, tmp_path: Path) -> None:
    """Sizes, offsets, values and the order of virtual functions are in it: equal files have the same interface."""
    releases = _releases()
    ours = compile_object(source, tmp_path / "ours.o", OPTIMISED, system=(INTERFACE,)).read_bytes()
    for number, headers in enumerate(releases):
        theirs = compile_object(source, tmp_path / f"{number}.o", OPTIMISED, system=(headers,)).read_bytes()
        if source.stem not in _LOGGER or _release(headers) >= (11, 0):
            assert theirs == ours, headers


@pytest.mark.parametrize("source", _SINCE, ids=["registration", "double of the registry", "segment_engine"])
def test_what_calls_tensorrt_is_the_same_machine_code_with_nvidias_headers(source: Path, tmp_path: Path) -> None:
    """Ours are compiled as the release that they are compared with: its number is an argument of createInferRuntime."""
    compared = [headers for headers in _releases() if _release(headers) >= _SINCE[source]]
    if not compared:
        pytest.skip(f"NVIDIA's headers of TensorRT {_SINCE[source]} or later are not here")
    for number, headers in enumerate(compared):
        major, minor = _release(headers)
        same = (*OPTIMISED, "-Wno-deprecated-declarations")
        ours = (*same, f"-DNV_TENSORRT_MAJOR={major}", f"-DNV_TENSORRT_MINOR={minor}")
        expected = compile_object(source, tmp_path / f"theirs{number}.o", same, system=(headers,)).read_bytes()
        assert compile_object(source, tmp_path / f"ours{number}.o", ours, system=(INTERFACE,)).read_bytes() == expected

"""Compiles the plugin library's sources, with the CUDA kernels, for the CPU: no GPU, no TensorRT library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from cuda_on_cpu.build import KERNELS, PLUGINS, ROOT, compile_object, link
from toolchain import require_cuda_on_cpu

HARNESS = PLUGINS / "tests" / "tensorrt"


def tensorrt_include() -> Path:
    """TensorRT's C++ headers; skips the test if there are none."""
    candidates = [Path("/usr/include/x86_64-linux-gnu"), Path("/usr/include/aarch64-linux-gnu"), Path("/usr/include")]
    candidates.insert(0, ROOT / "build" / "headers" / "tensorrt" / "include")
    if root := os.environ.get("TensorRT_ROOT"):  # noqa: SIM112 - the name that CMake and NVIDIA use
        candidates[:0] = [Path(root) / "include", Path(root)]
    for folder in candidates:
        if (folder / "NvInferRuntime.h").is_file():
            return folder
    pytest.skip("TensorRT's headers are not here (scripts/fetch_headers.sh --tensorrt, or set TensorRT_ROOT)")


def compile_plugin_runner(output: Path, flags: Sequence[str]) -> Path:
    """Builds run_plugins: plugins, kernels and harness in one program."""
    require_cuda_on_cpu()
    headers = tensorrt_include()
    kernels, plugins = sorted(KERNELS.glob("*.cu")), sorted((PLUGINS / "tensorrt").glob("*.cpp"))
    objects = []
    for source in [*kernels, *plugins, *sorted(HARNESS.glob("*.cpp"))]:
        target = output.with_name(f"{source.parent.name}-{source.stem}.o")
        objects.append(compile_object(source, target, flags, system=() if source in kernels else (headers,)))
    return link(objects, output, flags)

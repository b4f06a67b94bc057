"""Compiles the plugin library's sources, with the CUDA kernels, for the CPU: no GPU, no TensorRT library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cuda_on_cpu.build import KERNELS, PLUGINS, ROOT, compile_object, link
from toolchain import require_cuda_on_cpu

HARNESS = PLUGINS / "tests" / "tensorrt"
INTERFACE = PLUGINS / "tests" / "tensorrt_interface"
"""Our own declarations of the plugin interface."""


def nvidia_headers() -> list[Path]:
    """The include folders with TensorRT's own headers, TensorRT_ROOT's first, then those of fetch_headers.sh."""
    candidates = sorted((ROOT / "build" / "headers").glob("tensorrt-*/include"), reverse=True)
    if root := os.environ.get("TensorRT_ROOT"):  # noqa: SIM112 - the name that CMake and NVIDIA use
        candidates[:0] = [Path(root) / "include", Path(root)]
    candidates += [Path("/usr/include/x86_64-linux-gnu"), Path("/usr/include/aarch64-linux-gnu"), Path("/usr/include")]
    return [folder for folder in candidates if (folder / "NvInferRuntime.h").is_file()]


def compile_plugin_runner(output: Path, flags: Sequence[str]) -> Path:
    """Builds run_plugins: plugins, kernels and harness in one program, with NVIDIA's headers where they are found."""
    require_cuda_on_cpu()
    headers = next(iter(nvidia_headers()), INTERFACE)
    kernels, plugins = sorted(KERNELS.glob("*.cu")), sorted((PLUGINS / "tensorrt").glob("*.cpp"))
    objects = []
    for source in [*kernels, *plugins, *sorted(HARNESS.glob("*.cpp"))]:
        target = output.with_name(f"{source.parent.name}-{source.stem}.o")
        objects.append(compile_object(source, target, flags, system=() if source in kernels else (headers,)))
    return link(objects, output, flags)

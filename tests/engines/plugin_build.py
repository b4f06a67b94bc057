"""Compiles the plugin library's sources, with the CUDA kernels, for the CPU: no GPU, no TensorRT library."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cuda.build import KERNELS, PLUGINS, ROOT, require_toolchain

HARNESS = PLUGINS / "tests" / "tensorrt"
_WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]


def tensorrt_include() -> Path:
    """TensorRT's C++ headers; skips the test where there are none."""
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
    toolkit, headers = require_toolchain(), tensorrt_include()
    includes = ["-I", str(PLUGINS), "-I", str(KERNELS), "-I", str(PLUGINS / "include")]
    includes += ["-I", str(PLUGINS / "tests" / "cuda_on_cpu"), "-isystem", str(headers), "-isystem", str(toolkit)]
    objects = []
    for source in [*sorted(KERNELS.glob("*.cu")), *sorted((PLUGINS / "tensorrt").glob("*.cpp")),
                   *sorted(HARNESS.glob("*.cpp"))]:  # fmt: skip
        target = output.with_name(f"{source.parent.name}-{source.stem}.o")
        command = ["g++", "-x", "c++", "-std=c++20", *_WARNINGS, "-fno-strict-aliasing", "-pthread", *flags, *includes]
        subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
        objects.append(str(target))
    subprocess.run(["g++", *flags, *objects, "-o", str(output), "-pthread"], check=True)
    return output

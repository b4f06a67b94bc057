"""The programs of the check: `run_requests` and libhyperseg_cuda.so, for the GPU by nvcc or for the CPU by g++."""

from __future__ import annotations

import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpu_check.stage import ROOT

PLUGINS = ROOT / "trt_plugins"
LIBRARY = "libhyperseg_cuda.so"
_KERNELS = ("dpw_conv.cu", "dpw_inverted_residual.cu", "upsample_argmax.cu")


class BuildError(Exception):
    """A compiler failed; the message has its last lines."""


def build_for_device(work: Path, nvcc: str, capability: tuple[int, int]) -> None:
    """Machine code for this GPU alone; line information for the profiler and the sanitizer costs no speed."""
    include = [flag for folder in ("", "include", "cuda") for flag in ("-I", str(PLUGINS / folder))]
    common = [nvcc, "-std=c++17", "-O2", f"-arch=sm_{capability[0]}{capability[1]}", "-lineinfo", *include]
    shared = [*common, "-Xcompiler=-fPIC,-fvisibility=hidden"]
    sources = [
        *(PLUGINS / "cuda" / name for name in _KERNELS),
        PLUGINS / "c_api" / "request.cpp",
        PLUGINS / "tests" / "cuda" / "run_requests.cpp",
    ]

    def compile_one(source: Path) -> Path:
        target = work / f"{source.stem}.o"
        _run([*shared, "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor() as pool:
        *kernels, program = pool.map(compile_one, sources)
    _run([*common, "-shared", *map(str, kernels), "-o", str(work / LIBRARY)])
    _run([*common, *map(str, [program, *kernels]), "-o", str(work / "run_requests")])


def build_for_host(work: Path) -> None:
    """The same sources through trt_plugins/tests/cuda_on_cpu."""
    from cuda_kernels.build import OPTIMISED, compile_for_cpu

    compile_for_cpu(work / LIBRARY, "library.cpp", [*OPTIMISED, "-shared"])
    compile_for_cpu(work / "run_requests", "run_requests.cpp", list(OPTIMISED))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise BuildError(f"{Path(command[0]).name} failed with exit code {done.returncode}: {tail}")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hyperseg-gpu-check-")

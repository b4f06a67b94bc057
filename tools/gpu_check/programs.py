"""Builds `run_requests` and libhyperseg_cuda.so: for the GPU with nvcc, or for the CPU with g++."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from gpu_check.processes import run_together
from gpu_check.stage import ROOT

PLUGINS = ROOT / "trt_plugins"
LIBRARY = "libhyperseg_cuda.so"
_KERNELS = ("dpw_conv.cu", "dpw_inverted_residual.cu", "upsample_argmax.cu")


class BuildError(Exception):
    """A compiler failed or is missing; the message is one line."""


def build_for_device(work: Path, nvcc: str, capability: tuple[int, int], seconds: float) -> None:
    """Builds for this GPU's architecture only, with line information for the profiler and the sanitizer."""
    if set(",'\"") & set(str(work)):
        raise BuildError(f"{work.parent} has a comma or a quote in its name, which nvcc does not take; set TMPDIR")
    include = [flag for folder in ("", "include", "cuda") for flag in ("-I", str(PLUGINS / folder))]
    common = [nvcc, "-std=c++17", "-O2", f"-arch=sm_{capability[0]}{capability[1]}", "-lineinfo", *include]
    shared = [*common, "-Xcompiler=-fPIC,-fvisibility=hidden"]
    sources = [
        *(PLUGINS / "cuda" / name for name in _KERNELS),
        PLUGINS / "c_api" / "request.cpp",
        PLUGINS / "tests" / "cuda" / "run_requests.cpp",
    ]
    objects = [str(work / f"{source.stem}.o") for source in sources]
    compiled = [[*shared, "-c", str(source), "-o", target] for source, target in zip(sources, objects, strict=True)]
    _build(compiled, seconds, work)
    *kernels, program = objects
    linked = [
        [*common, "-shared", *kernels, "-o", str(work / LIBRARY)],
        [*common, program, *kernels, "-o", str(work / "run_requests")],
    ]
    _build(linked, seconds, work)


def build_for_host(work: Path) -> None:
    """Builds the same sources through trt_plugins/tests/cuda_on_cpu. Raises BuildError."""
    from cuda_on_cpu.build import OPTIMISED, CompileError, compile_for_cpu, toolkit_include

    if shutil.which("g++") is None:
        raise BuildError("g++ was not found, which --host needs: install it")
    if toolkit_include() is None:
        raise BuildError("the CUDA toolkit's headers were not found, which --host needs too: set CUDA_HOME")
    try:
        compile_for_cpu(work / LIBRARY, "library.cpp", [*OPTIMISED, "-shared"])
        compile_for_cpu(work / "run_requests", "run_requests.cpp", list(OPTIMISED))
    except CompileError as error:
        raise BuildError(f"g++ could not compile {error}; its messages are above") from None


def _build(commands: Sequence[Sequence[str]], seconds: float, work: Path) -> None:
    for command, (code, text) in zip(commands, run_together(commands, seconds, work), strict=True):
        if code == 0:
            continue
        ended = f"did not finish within {seconds:.0f} s" if code is None else f"failed with exit code {code}"
        tail = " / ".join(line.strip() for line in text.strip().splitlines()[-3:])
        raise BuildError(f"{Path(command[0]).name} {ended}: {tail}")

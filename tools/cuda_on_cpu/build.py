"""Compiles the CUDA kernels for the CPU with g++, through trt_plugins/tests/cuda_on_cpu."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from compile_once import compile_once

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "trt_plugins"
KERNELS = PLUGINS / "cuda"
HARNESS = PLUGINS / "tests" / "cuda"

OPTIMISED = ("-O2", "-fPIC")
ADDRESS_SANITIZER = ("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
THREAD_SANITIZER = ("-O1", "-g1", "-fsanitize=thread")

_FLAGS = ("-x", "c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fno-strict-aliasing",
          "-fmax-errors=5", "-pthread")  # fmt: skip


class CompileError(Exception):
    """A file did not compile for the CPU; the compiler's messages are on stderr."""


def toolkit_include() -> Path | None:
    """The include folder of the CUDA toolkit, whose host-side headers are needed; None if it is not installed."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    if nvcc := shutil.which("nvcc"):
        homes.append(str(Path(nvcc).resolve().parents[1]))
    for home in homes:
        if home and (Path(home) / "include" / "cuda_fp16.h").is_file():
            return Path(home) / "include"
    return None


def missing_toolchain() -> str | None:
    """The missing requirement for compiling the kernels for the CPU, with the remedy; None if complete."""
    if toolkit_include() is None:
        return "the CUDA toolkit's headers are not installed (set CUDA_HOME)"
    if shutil.which("g++") is None:
        return "g++ is not installed"
    return None


def compile_object(
    source: Path, target: Path, flags: Sequence[str], *, kernels: Path = KERNELS, system: Sequence[Path] = ()
) -> Path:
    """Compiles one file for the CPU.

    Args:
        source: the file.
        target: the object file to write.
        flags: of g++, beside those that every file is compiled with.
        kernels: the folder with the kernels' headers.
        system: further include folders, of third-party headers.

    Raises:
        CompileError: the toolkit's headers are missing, or g++ fails.
    """
    include = toolkit_include()
    if include is None:
        raise CompileError("the CUDA toolkit's headers are not installed (set CUDA_HOME)")
    command = ["g++", *_FLAGS, *flags]
    for folder in (kernels, PLUGINS, PLUGINS / "include", PLUGINS / "tests" / "cuda_on_cpu"):
        command += ["-I", str(folder)]
    for folder in (*system, include):
        command += ["-isystem", str(folder)]
    if compile_once([*command, "-c", str(source), "-o", str(target)]):
        raise CompileError(str(source))
    return target


def link(objects: Sequence[Path], output: Path, flags: Sequence[str]) -> Path:
    """Links object files into a program, or with `-shared` into a library."""
    subprocess.run(["g++", *flags, *map(str, objects), "-o", str(output), "-pthread"], check=True)
    return output


def compile_for_cpu(output: Path, program: str, flags: Sequence[str]) -> Path:
    """Builds `program` (a file of trt_plugins/tests/cuda) with all kernels. Raises CompileError."""
    sources = [*sorted(KERNELS.glob("*.cu")), PLUGINS / "c_api" / "request.cpp", HARNESS / program]
    compiled = [flag for flag in flags if flag != "-shared"]  # for the linker: the objects are a program's as well
    objects = [compile_object(source, output.with_name(f"{source.stem}.o"), compiled) for source in sources]
    return link(objects, output, flags)

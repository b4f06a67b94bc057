"""The architectures that the CUDA kernels are compiled for, chosen by what the compiler knows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from cmake_projects import configure, parts, run_script, unwrapped
from hyperseg_runtime.backends import cuda

CUDA_13 = "75 80 86 87 88 89 90 100 110 103 120 121"
CUDA_12_9 = "50 52 53 60 61 62 70 72 75 80 86 87 89 90 100 101 103 120 121"
CUDA_12_4 = "50 52 53 60 61 62 70 72 75 80 86 87 89 90"
CUDA_11_2 = "35 37 50 52 53 60 61 62 70 72 75 80 86"
"""As printed by these compilers; 12.9 as in its documentation."""


def fake_nvcc(folder: Path, known: str) -> Path:
    """A program that answers --list-gpu-arch, and compiles nothing."""
    path = folder / "nvcc"
    lines = "".join(f"echo compute_{number}\n" for number in known.split())
    path.write_text(f"#!/bin/sh\n[ \"$1\" = --list-gpu-arch ] || exit 1\n{lines}", encoding="utf-8")  # fmt: skip
    path.chmod(0o755)
    return path


def _default(folder: Path, known: str, processor: str) -> str:
    done = run_script(
        folder,
        "include(HypersegCudaArchitectures)",
        f'hyperseg_known_architectures("{fake_nvcc(folder, known)}" known)',
        f'hyperseg_default_architectures("${{known}}" {processor} default)',
        'message("${default}")',
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("known", "processor", "chosen"),
    [
        (CUDA_13, "x86_64", "75-real;80-real;86-real;89-real;90-real;100-real;120"),
        (CUDA_12_9, "x86_64", "75-real;80-real;86-real;89-real;90-real;100-real;120"),
        (CUDA_12_4, "x86_64", "75-real;80-real;86-real;89-real;90"),
        (CUDA_11_2, "x86_64", "75-real;80-real;86"),
        ("35 37 50", "x86_64", ""),
        (CUDA_13 + " 90a 121a", "aarch64", "75-real;80-real;86-real;87-real;89-real;90-real;100-real;110-real;120"),
        (CUDA_12_9, "aarch64", "75-real;80-real;86-real;87-real;89-real;90-real;100-real;101-real;120"),
        (CUDA_12_4, "aarch64", "75-real;80-real;86-real;87-real;89-real;90"),
    ],
)
def test_the_default_follows_the_compiler(known: str, processor: str, chosen: str, tmp_path: Path) -> None:
    assert _default(tmp_path, known, processor) == chosen


@pytest.mark.parametrize(
    ("asked", "refused"),
    [("75;120", "120"), ("120-real", "120-real"), ("75;86-virtual", None), ("90a", None), ("native", None)],
)
def test_an_architecture_that_the_compiler_lacks_is_named(asked: str, refused: str | None, tmp_path: Path) -> None:
    known = CUDA_12_4.replace(" ", ";")
    done = run_script(
        tmp_path,
        "include(HypersegCudaArchitectures)",
        f'hyperseg_check_architectures(CMAKE_CUDA_ARCHITECTURES "{asked}" "{known}" /opt/cuda/bin/nvcc)',
    )
    if refused is None:
        assert done.returncode == 0, done.stderr
    else:
        said = unwrapped(done.stderr)
        assert f"CMAKE_CUDA_ARCHITECTURES has {refused}, for which /opt/cuda/bin/nvcc does not compile" in said
        assert "it compiles for 50 52" in said and "Leave it out" in said


@pytest.mark.slow
@pytest.mark.parametrize("required", [False, True])
def test_a_compiler_that_fails_is_not_called_missing(required: bool, tmp_path: Path) -> None:
    """As nvcc 11.8 does where the C++ compiler is newer than it supports."""
    nvcc = fake_nvcc(tmp_path, CUDA_11_2)
    mode = "ON" if required else "AUTO"
    done = configure(tmp_path / "build", f"-DHYPERSEG_CUDA={mode}", **{**os.environ, "CUDACXX": str(nvcc)})
    assert (done.returncode != 0) == required
    said = unwrapped(done.stderr) if required else parts(tmp_path / "build")["CUDA"]["detail"]
    assert "nvcc does not compile here" in said and "Set CUDAHOSTCXX to an older one" in said


@pytest.mark.parametrize("value", ["off", "MAYBE", "0"])
def test_a_switch_that_is_none_does_not_mean_auto(value: str, tmp_path: Path) -> None:
    done = configure(tmp_path / "build", f"-DHYPERSEG_CUDA={value}")
    assert done.returncode != 0
    assert f"HYPERSEG_CUDA={value} is none of AUTO, ON and OFF" in unwrapped(done.stderr)


def test_an_architecture_of_the_environment_is_named(tmp_path: Path) -> None:
    """CMake's own trial of the compiler fails then, whose reason would be taken for another."""
    environment = {**os.environ, "CUDACXX": str(fake_nvcc(tmp_path, CUDA_12_4)), "CUDAARCHS": "86;120"}
    done = configure(tmp_path / "build", **environment)
    assert done.returncode != 0
    assert "CUDAARCHS has 120, for which" in unwrapped(done.stderr)


@pytest.mark.slow
def test_a_compiler_that_is_none(tmp_path: Path) -> None:
    done = configure(tmp_path / "build", "-DHYPERSEG_CUDA=ON", f"-DCMAKE_CUDA_COMPILER={tmp_path / 'nvcc'}")
    assert done.returncode != 0
    assert "nvcc does not answer --list-gpu-arch" in unwrapped(done.stderr)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on PATH")
def test_native_is_not_the_compilers_default(tmp_path: Path) -> None:
    if cuda.find_gpus().gpus:
        pytest.skip("this machine has a GPU")
    done = configure(tmp_path / "build", "-DCMAKE_CUDA_ARCHITECTURES=native")
    assert done.returncode != 0
    assert "CMAKE_CUDA_ARCHITECTURES=native, but there is no GPU here; set it to the" in unwrapped(done.stderr)

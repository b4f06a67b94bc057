"""`scripts/setup.sh --gpu`: the packages that it installs for a GPU, and its messages for unavailable ones."""

from __future__ import annotations

import subprocess
from ctypes.util import find_library
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _install(folder: Path, capability: str, missing: str = "") -> tuple[str, str, int]:
    """Packages requested from pip, output and exit code; pip is a test double that does not find `missing`."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        "#!/bin/bash\n"
        f'if [ "$1" = - ]; then exit 0; fi\n'
        f'echo "$*" >> {folder}/asked\n'
        f'for word in {missing}; do case " $* " in *" $word"[=\\ ]*)\n'
        '  echo "ERROR: No matching distribution found for $word" >&2; exit 1;;\n'
        "esac; done\n"
    )
    python.chmod(0o755)
    program = f'. scripts/common.sh; . scripts/gpu_packages.sh; install_gpu_packages "{folder}" {capability}'
    done = subprocess.run(["bash", "-euc", program], cwd=ROOT, capture_output=True, text=True, check=False)
    return (folder / "asked").read_text(), done.stderr, done.returncode


def test_everything(tmp_path: Path) -> None:
    asked, said, code = _install(tmp_path, "9.0")
    assert (said, code) == ("", 0)
    for package in ("torch==2.13.0", "onnxruntime-gpu", "pycuda", "tensorrt"):
        assert f" {package}\n" in asked
    assert "tensorrt-rtx" not in asked and " onnxruntime==" not in asked


@pytest.mark.parametrize(
    ("capability", "rtx"), [("7.5", True), ("8.6", True), ("8.9", True), ("12.0", True), ("8.0", False), ("9.0", False)]
)
def test_the_tensorrt_that_fits(capability: str, rtx: bool, tmp_path: Path) -> None:
    asked, said, code = _install(tmp_path, capability, missing="tensorrt")
    assert code == 0
    assert "could not install TensorRT (tensorrt): ERROR: No matching distribution found for tensorrt" in said
    assert ("tensorrt-rtx-cu13-libs==" in asked) is rtx
    assert (f"TensorRT for RTX does not support compute capability {capability}" in said) is not rtx


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    asked, said, code = _install(tmp_path, "8.9", missing="pycuda onnxruntime-gpu")
    assert code == 0
    assert "could not install pycuda" in said and "could not install ONNX Runtime for CUDA" in said
    assert " onnxruntime==" in asked  # the CPU's instead


def test_without_pytorch_it_ends(tmp_path: Path) -> None:
    _, said, code = _install(tmp_path, "8.9", missing="torch")
    assert code == 1
    assert "without PyTorch no test runs" in said


def test_no_gpu() -> None:
    if find_library("cuda"):
        pytest.skip("this machine has an NVIDIA driver")
    done = subprocess.run(["scripts/setup.sh", "--gpu"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no NVIDIA driver was found (libcuda.so.1)" in done.stderr
    assert done.stderr.endswith("the tests of a GPU need one\n")

"""Faults that cuda_on_cpu detects: missing barriers, uninitialised reads, overruns, deadlocks."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cuda_on_cpu.build import HARNESS, THREAD_SANITIZER, compile_object, link
from cuda_on_cpu.kernels import THREAD_ORDERS
from toolchain import require_cuda_on_cpu

_LAUNCH_FAILURE = 719


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("faulty"), ["-O1"])


def _build(folder: Path, flags: Sequence[str]) -> Path:
    require_cuda_on_cpu()
    compiled = compile_object(HARNESS / "faulty_kernels.cpp", folder / "faulty_kernels.o", flags)
    return link([compiled], folder / "faulty_kernels", flags)


def _run(program: Path, fault: str, order: str = "forward") -> tuple[int, int, str]:
    """The launch's error, how many values are wrong, and stderr."""
    environment = {**os.environ, "CUDA_ON_CPU_ORDER": order, "CUDA_ON_CPU_WORKERS": "1"}
    done = subprocess.run([program, fault], env=environment, capture_output=True, text=True, check=False)
    error, wrong = map(int, done.stdout.split())
    return error, wrong, done.stderr


def test_a_right_kernel_passes(program: Path) -> None:
    for order in THREAD_ORDERS:
        assert _run(program, "none", order) == (0, 0, ""), order


@pytest.mark.parametrize("fault", ["missing_barrier", "uninitialised"])
def test_wrong_values_show(program: Path, fault: str) -> None:
    error, wrong, _ = _run(program, fault)
    assert error == 0
    assert wrong > 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("different_barriers", "different __syncthreads()"),
        ("skipped_barrier", "deadlock"),
        ("overrun", "behind the 256 bytes of shared memory"),
        ("crooked_tile", "not aligned"),
    ],
)
def test_faults_are_reported(program: Path, fault: str, reason: str) -> None:
    error, _, message = _run(program, fault)
    assert error == _LAUNCH_FAILURE
    assert reason in message


def test_thread_sanitizer_sees_a_missing_barrier(tmp_path: Path) -> None:
    program = _build(tmp_path, THREAD_SANITIZER)
    assert "data race" in _run(program, "missing_barrier")[2]
    assert "data race" not in _run(program, "none")[2]

"""The query of the GPUs, on a fake libcuda.so.1 that is compiled for the test."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hyperseg_runtime import machine
from hyperseg_runtime.backends import cuda, onnxruntime, tensorrt
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.doctor import doctor

from .conftest import ENVIRONMENT

_LIBCUDA = r"""
#include <stdio.h>
#include <stdlib.h>
static int chosen(const char *name, int otherwise) { return getenv(name) ? atoi(getenv(name)) : otherwise; }
int cuInit(unsigned flags) { return flags ? 1 : chosen("FAKE_STATUS", 0); }
int cuDriverGetVersion(int *version) { *version = chosen("FAKE_CUDA", 12080); return 0; }
int cuDeviceGetCount(int *count) { *count = chosen("FAKE_GPUS", 2); return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 100 + ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "NVIDIA Double %d", device); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device - 99) << 34; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? device - 94 : -1;
  return 0;
}
int cuGetErrorString(int status, const char **text) { *text = status == 999 ? "unknown error" : NULL; return 0; }
"""


@pytest.fixture(scope="module")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(_LIBCUDA)
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "cuda.c"], check=True)
    return library


@pytest.fixture
def driver(libcuda: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with two GPUs; FAKE_STATUS, FAKE_CUDA and FAKE_GPUS change it."""
    monkeypatch.setattr(cuda, "_LIBRARY", str(libcuda))
    return monkeypatch


def test_gpus_are_described(driver: pytest.MonkeyPatch) -> None:
    found = cuda.find_gpus()
    assert found.gpus == (
        cuda.Gpu("NVIDIA Double 100", "8.6", 16 << 30),
        cuda.Gpu("NVIDIA Double 101", "8.7", 32 << 30),
    )
    assert (found.problem, found.cuda_version) == (None, "12.8")
    assert machine.gpus() == (
        "NVIDIA Double 100, compute capability 8.6, 16.0 GiB, driver for CUDA 12.8",
        "NVIDIA Double 101, compute capability 8.7, 32.0 GiB, driver for CUDA 12.8",
    )
    assert machine.describe()["gpus"] == list(machine.gpus())


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"FAKE_STATUS": "100"}, "finds no GPU; check CUDA_VISIBLE_DEVICES"),
        ({"FAKE_GPUS": "0"}, "finds no GPU; check CUDA_VISIBLE_DEVICES"),
        ({"FAKE_STATUS": "34"}, "stub; take its folder out of LD_LIBRARY_PATH"),
        ({"FAKE_STATUS": "803"}, "differ in version; restart the machine"),
        ({"FAKE_STATUS": "999"}, "CUDA error 999, unknown error"),
        ({"FAKE_STATUS": "12345"}, "CUDA error 12345, unknown"),
        ({"FAKE_CUDA": "10020"}, "supports CUDA 10.2, not 11.4; install a newer driver"),
    ],
)
def test_a_driver_without_a_usable_gpu(driver: pytest.MonkeyPatch, answers: dict[str, str], problem: str) -> None:
    for name, value in answers.items():
        driver.setenv(name, value)
    found = cuda.find_gpus()
    assert found.gpus == machine.gpus() == ()
    assert found.problem is not None and problem in found.problem
    assert "\n" not in found.problem
    assert found.problem in tensorrt.availability(BackendName.TENSORRT).detail


def test_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda, "_LIBRARY", str(tmp_path / "libcuda.so.1"))
    assert cuda.find_gpus().gpus == ()
    assert "no NVIDIA driver on this machine" in (cuda.find_gpus().problem or "")


def test_a_library_that_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "load_driver", object)
    assert "is not NVIDIA's" in (cuda.find_gpus().problem or "")


def _gpu_line() -> dict[str, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        common.execute(doctor, "hyperseg-doctor", ["--json"])
    return next(one for one in json.loads(out.getvalue())["system"] if one["subject"] == "GPU")


def test_the_doctor_asks_the_same_driver(driver: pytest.MonkeyPatch) -> None:
    assert _gpu_line() == {"subject": "GPU", "verdict": "ok", "detail": "; ".join(machine.gpus())}
    driver.setenv("FAKE_GPUS", "0")
    assert _gpu_line() == {"subject": "GPU", "verdict": "missing", "detail": cuda.find_gpus().problem}


def test_onnxruntime_needs_the_driver(driver: pytest.MonkeyPatch) -> None:
    import onnxruntime as package

    driver.setattr(package, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    ready = onnxruntime.availability(BackendName.ONNXRUNTIME_CUDA)
    assert ready.available and "on NVIDIA Double 100, NVIDIA Double 101" in ready.detail
    driver.setenv("FAKE_STATUS", "803")
    missing = onnxruntime.availability(BackendName.ONNXRUNTIME_CUDA)
    assert (missing.available, missing.detail) == (False, cuda.find_gpus().problem)


def test_the_doctor_works_without_numpy() -> None:
    code = "import sys; sys.modules['numpy'] = None; from hyperseg_runtime.cli.doctor import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 1
    assert "Packages" in done.stdout and "numpy" in done.stdout
    assert "Traceback" not in done.stderr

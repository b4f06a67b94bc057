"""Queries of driver and compiler in scripts/gpu_check.sh, with fakes of libcuda and nvcc."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest
from gpu_check import command, driver


class _Driver:
    """libcuda.so.1 of a machine; codes and attributes as in cuda.h."""

    def __init__(
        self, *, start: int = 0, cuda: int = 13000, gpus: int = 1, capability: tuple[int, int] = (9, 0)
    ) -> None:
        self._start, self._cuda, self._gpus = start, cuda, gpus
        self._attributes = {16: 132, 38: 50 << 20, 75: capability[0], 76: capability[1]}

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self._start

    def cuDriverGetVersion(self, value: Any) -> int:
        value._obj.value = self._cuda
        return 0

    def cuDeviceGetCount(self, value: Any) -> int:
        value._obj.value = self._gpus
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, name: Any, length: int, _device: Any) -> int:
        name.value = b"NVIDIA Double"[:length]
        return 0

    def cuDeviceGetPCIBusId(self, bus: Any, length: int, _device: Any) -> int:
        bus.value = b"0000:07:00.0"[:length]
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:
        value._obj.value = self._attributes[attribute]
        return 0

    def cuGetErrorString(self, _result: int, text: Any) -> int:
        text._obj.value = b"no CUDA-capable device is detected"
        return 0


def _machine(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda _: _Driver(**facts))


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, cuda=12080, capability=(8, 9))
    gpu = driver.find_gpu()
    assert gpu == driver.Gpu("NVIDIA Double", (8, 9), (12, 8), 132, 50 << 20, "0000:07:00.0")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"start": 100}, r"the driver does not start: no CUDA-capable device is detected \(100\)"),
        ({"gpus": 0}, "finds no GPU; is CUDA_VISIBLE_DEVICES empty"),
        ({"capability": (6, 1)}, r"NVIDIA Double has compute capability 6\.1; the kernels need 7\.5"),
    ],
)
def test_a_gpu_that_will_not_do(facts: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, **facts)
    with pytest.raises(driver.NoGpuError, match=said):
        driver.find_gpu()


def test_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(driver.ctypes, "CDLL", missing)
    assert command.main(["--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said == ("gpu_check: no NVIDIA driver was found (libcuda.so.1); install one, or rehearse with --host\n")


def _compiler(folder: Path, release: str, architectures: str) -> str:
    """A fake nvcc that reports its release and architectures."""
    path = folder / "nvcc"
    path.write_text(
        f'#!/bin/sh\ncase $1 in --version) echo "Cuda compilation tools, release {release}, V{release}.1";;\n'
        f"--list-gpu-arch) echo {architectures};; esac\n"
    )
    path.chmod(0o755)
    return str(path)


def _gpu(capability: tuple[int, int], driver_cuda: tuple[int, int]) -> driver.Gpu:
    return driver.Gpu("NVIDIA Double", capability, driver_cuda, 132, 50 << 20, "0000:07:00.0")


def test_compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = _compiler(tmp_path, "13.0", "compute_75 compute_90")
    assert driver.check_compiler(_gpu((9, 0), (13, 0)), new) == "13.0"
    with pytest.raises(
        driver.NoGpuError, match=r"the driver supports CUDA up to 12\.4, nvcc is 13\.0: install a newer"
    ):
        driver.check_compiler(_gpu((9, 0), (12, 4)), new)
    with pytest.raises(driver.NoGpuError, match=r"nvcc 13\.0 does not compile for compute capability 12\.0"):
        driver.check_compiler(_gpu((12, 0), (13, 0)), new)
    for broken, said in (("", "does not print a release"), ("#!/no/such/program\n", "does not run")):
        path = tmp_path / "broken"
        path.write_text(broken or "#!/bin/sh\nprintf '\\377release V13'\n")
        path.chmod(0o755)
        with pytest.raises(driver.NoGpuError, match=said):
            driver.check_compiler(_gpu((9, 0), (13, 0)), str(path))
    monkeypatch.setenv("CUDACXX", "nvcc -ccbin g++")
    with pytest.raises(driver.NoGpuError, match=r"CUDACXX is nvcc -ccbin g\+\+, which is not a program"):
        driver.require_nvcc()
    monkeypatch.delenv("CUDACXX")
    monkeypatch.setattr(driver.shutil, "which", lambda _: None)
    with pytest.raises(driver.NoGpuError, match="nvcc was not found: put the CUDA toolkit's bin folder on PATH"):
        driver.require_nvcc()


def test_a_run_that_cannot_start_keeps_the_report_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu-check.md").write_text("of yesterday")
    _machine(monkeypatch, gpus=0)
    assert command.main(["--out", str(tmp_path)]) == 1
    assert (tmp_path / "gpu-check.md").read_text() == "of yesterday"

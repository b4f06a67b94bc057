"""Readings of a GPU, on fake libnvidia-ml.so.1 and libcuda.so.1 that are compiled for the test.

Names and signatures are those of nvml.h and cuda.h (NVML API Reference Guide; CUDA Driver API).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hyperseg_runtime.backends import cuda, nvml
from hyperseg_runtime.benchmark.conditions import Watch
from hyperseg_runtime.benchmark.tables import gpu_text

_LIBCUDA = r"""
#include <stdio.h>
int cuInit(unsigned flags) { return (int)flags; }
int cuDeviceGet(int *device, int ordinal) { *device = 100 + ordinal; return ordinal < 2 ? 0 : 101; }
int cuDeviceGetPCIBusId(char *text, int size, int device) {
  return snprintf(text, size, "0000:%02d:00.0", device - 90) < size ? 0 : 1;
}
"""
_LIBNVML = r"""
#include <stdlib.h>
#include <string.h>
typedef struct nvmlDevice_st { int number; } *nvmlDevice_t;
static struct nvmlDevice_st device = {7};
static int started, readings;
int nvmlInit_v2(void) { started = 1; return getenv("FAKE_NVML") ? atoi(getenv("FAKE_NVML")) : 0; }
int nvmlShutdown(void) { started = 0; return 0; }
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvmlDevice_t *found) {
  *found = &device;
  return started && strcmp(bus, "0000:11:00.0") == 0 ? 0 : 6;  /* NVML_ERROR_NOT_FOUND */
}
int nvmlDeviceGetClockInfo(nvmlDevice_t found, int type, unsigned *mhz) {
  if (found->number != 7) return 2;
  *mhz = type == 0 ? 1980 - 300 * readings++ : type == 2 ? 2619 : 0;
  return 0;
}
int nvmlDeviceGetMaxClockInfo(nvmlDevice_t found, int type, unsigned *mhz) {
  *mhz = type == 0 && found->number == 7 ? 1980 : 0;
  return 0;
}
int nvmlDeviceGetPowerUsage(nvmlDevice_t found, unsigned *milliwatts) { *milliwatts = 345678; return 0; }
int nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t found, unsigned *milliwatts) {
  return 3;  /* NVML_ERROR_NOT_SUPPORTED, as on many laptops */
}
int nvmlDeviceGetTemperature(nvmlDevice_t found, int sensor, unsigned *celsius) {
  *celsius = 70 + readings;
  return sensor;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t found, unsigned long long *reasons) {
  *reasons = readings == 1 ? 0x1 : 0x4 | 0x20;  /* GpuIdle; SwPowerCap, SwThermalSlowdown */
  return getenv("FAKE_REASONS") ? 3 : 0;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("driver")
    for name, source in (("libcuda.so.1", _LIBCUDA), ("libnvidia-ml.so.1", _LIBNVML)):
        file = folder / f"{name}.c"
        file.write_text(source)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / name, file], check=True)
    return folder


@pytest.fixture
def gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """CUDA's second GPU, on bus 11, is the one that the double of NVML knows."""
    monkeypatch.setattr(cuda, "_LIBRARY", str(driver / "libcuda.so.1"))
    monkeypatch.setattr(nvml, "_LIBRARY", str(driver / "libnvidia-ml.so.1"))
    return monkeypatch


def test_readings_of_a_measurement(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr("hyperseg_runtime.benchmark.conditions._GPU_SECONDS", 0)
    with nvml.open_gpu(1) as found:
        assert found is not None
        watch = Watch(found, counters=lambda: None)
        for _ in range(3):
            watch.between_runs()
        summary = watch.end().gpu
    assert summary is not None
    assert (summary.readings, summary.graphics_mhz, summary.lowest_graphics_mhz) == (3, 1680, 1380)
    assert (summary.largest_graphics_mhz, summary.memory_mhz) == (1980, 2619)
    assert (summary.watts, summary.watts_limit, summary.highest_celsius) == (345.678, None, 73)
    assert summary.reasons == ("power limit", "temperature"), "an idle GPU's clocks are not lowered"
    assert gpu_text(summary) == (
        "graphics clock 1680 MHz (lowest 1380 MHz, of at most 1980 MHz), memory clock 2619 MHz, "
        "power 346 W of at most unknown, up to 73 °C, clocks lowered by: power limit, temperature"
    )


def test_unknown_reasons_are_not_no_reasons(gpu: pytest.MonkeyPatch) -> None:
    gpu.setenv("FAKE_REASONS", "1")
    with nvml.open_gpu(1) as found:
        watch = Watch(found, counters=lambda: None)
        watch.between_runs()
        summary = watch.end().gpu
    assert summary is not None and summary.to_dict()["reasons"] is None
    assert gpu_text(summary).endswith("clocks lowered by: unknown")


def test_no_gpu_or_no_library(gpu: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for index in (0, 2):  # NVML does not know it; CUDA does not know it
        with nvml.open_gpu(index) as found:
            assert found is None
    gpu.setenv("FAKE_NVML", "9")  # NVML_ERROR_DRIVER_NOT_LOADED
    with nvml.open_gpu(1) as found:
        assert found is None
    gpu.setattr(nvml, "_LIBRARY", str(tmp_path / "libnvidia-ml.so.1"))  # a Jetson
    with nvml.open_gpu(1) as found:
        assert found is None


def test_an_old_driver_lacks_functions(gpu: pytest.MonkeyPatch, driver: Path) -> None:
    gpu.setattr(nvml, "_LIBRARY", str(driver / "libcuda.so.1"))
    with nvml.open_gpu(1) as found:
        assert found is None
    gpu.setattr(nvml, "_LIBRARY", str(driver / "libnvidia-ml.so.1"))
    with nvml.open_gpu(1) as found:
        assert found is not None
        assert found._number("nvmlDeviceGetNothingOfTheKind") is None


def test_the_gpu_is_not_read_more_often_than_it_can_answer(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr("hyperseg_runtime.benchmark.conditions._GPU_SECONDS", 3600)
    with nvml.open_gpu(1) as found:
        watch = Watch(found, counters=lambda: None)
        for _ in range(10):
            watch.between_runs()
        summary = watch.end().gpu
    assert summary is not None and summary.readings == 1

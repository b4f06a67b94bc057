"""Executables of the host within a plan are found; what real plans hold is none."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.engine import build as building
from hyperseg_export.errors import EngineError
from hyperseg_runtime import host_code, libraries, sidecar

from .forgeries import elf, pe
from .graphs import miniature, save

CUDA = 190
WEIGHTS = np.random.default_rng(0).integers(0, 256, 1 << 24, np.uint8).tobytes()


@pytest.mark.parametrize(("size", "order"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("machine", [3, 40, 62, 183, 243])  # x86, ARM, x86-64, AArch64, RISC-V
def test_executables_of_every_machine(machine: int, size: int, order: int) -> None:
    found = host_code.find(WEIGHTS[:1001] + elf(machine, size, order) + WEIGHTS)
    assert found is not None and found.offset == 1001
    assert str(found) == f"an ELF file of machine {machine} at byte 1001"


def test_one_after_many_cubins() -> None:
    cubins = (elf(CUDA) + bytes(40)) * 100
    assert host_code.find(cubins) is None
    found = host_code.find(cubins + elf(62))
    assert found is not None and found.offset == len(cubins)


def test_a_program_of_windows() -> None:
    found = host_code.find(WEIGHTS + pe())
    assert found is not None and str(found) == f"a PE file (Windows) at byte {len(WEIGHTS)}"
    assert host_code.find(WEIGHTS + pe().replace(b"PE\0\0", b"PE\0\1")) is None


@pytest.mark.parametrize(
    "plan",
    [
        b"",
        b"\x7fELF",
        elf(62)[:19],
        elf(62, size=0),
        elf(62, size=3),
        elf(62, order=3),
        b"\x7fELF and so on, in a text",
        b"MZ",
        pe()[:128],
        b"MZ" + bytes(58) + struct.pack("<I", 0xFFFFFFFF) + b"PE\0\0",
        b"PE\0\0" * 100 + b"MZ" * 100,
        WEIGHTS,
    ],
)
def test_what_is_no_executable(plan: bytes) -> None:
    assert host_code.find(plan) is None


def test_real_libraries_and_programs() -> None:
    files = [Path(sys.executable).resolve(), *(found for one in libraries.Library if (found := libraries.find(one)))]
    for file in files:
        assert host_code.find(WEIGHTS[:4097] + file.read_bytes() + WEIGHTS[:4097]) is not None, file


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_real_cubins_are_code_of_the_gpu(tmp_path: Path) -> None:
    (tmp_path / "k.cu").write_text("__global__ void twice(float* x) { x[threadIdx.x] *= 2.f; }\n", encoding="ascii")
    command = ["nvcc", "-cubin", "-arch=sm_86", "-o", tmp_path / "k.cubin", tmp_path / "k.cu"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    cubin = (tmp_path / "k.cubin").read_bytes()
    assert cubin.startswith(b"\x7fELF")
    assert host_code.find(WEIGHTS[:999] + cubin) is None


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize("half", [False, True])
def test_real_plans_of_tensorrt_for_rtx(tmp_path: Path, half: bool) -> None:
    report = build_engine(save(miniature(), tmp_path / "m.onnx"), options=EngineOptions(half=half))
    described, plan = sidecar.read_plan(report.engine)
    assert described.engine.plugin_layers == 3 and host_code.find(plan) is None
    # No plugin library in it (IBuilderConfig.plugins_to_serialize), of which every copy has this text.
    assert b"libhyperseg_trt" not in plan


@pytest.mark.usefixtures("builder", "no_gpu")
def test_a_build_that_puts_code_into_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a TensorRT would that embeds plugin libraries."""
    run = building.run_build
    plugins = libraries.require(libraries.Library.TENSORRT).read_bytes()

    def run_build(request: building.BuildRequest, listener: building.BuildListener) -> str:
        layers = run(request, listener)
        with Path(request.plan).open("ab") as file:
            file.write(plugins)
        return layers

    monkeypatch.setattr(building, "run_build", run_build)
    source = save(miniature(), tmp_path / "m.onnx")
    with pytest.raises(EngineError, match=r"put code for the host into the engine \(an ELF file of machine"):
        build_engine(source)
    assert list(tmp_path.iterdir()) == [source]
    report = build_engine(source, options=EngineOptions(allow_host_code=True))
    assert sidecar.read_plan(report.engine)[1].endswith(plugins)

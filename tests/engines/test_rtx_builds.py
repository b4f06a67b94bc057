"""What is asked of the builder of TensorRT for RTX, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import pytest
from hyperseg_export.cli.build_engine import build as build_command
from hyperseg_export.engine import build as build_module
from hyperseg_export.engine.options import BuildTarget, EngineOptions, capabilities, choose_target
from hyperseg_export.engine.process import BuildRequest
from hyperseg_export.engine.worker import build
from hyperseg_export.errors import EngineError
from hyperseg_runtime import libraries
from hyperseg_runtime.backends import cuda, tensorrt, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Driver, Gpu
from hyperseg_runtime.backends.tensorrt import Machine as ThisMachine
from hyperseg_runtime.backends.tensorrt import misfit
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT

from .doubles.device import Device
from .doubles.tensorrt import BuilderFlag10, BuilderFlagRtx, FakeTensorRT, read_plan
from .sessions import RTX_VERSION, VERSION
from .test_sidecar import FACTS

RTX, FULL = RTX_VERSION, VERSION
H100 = Gpu("NVIDIA H100 80GB HBM3", "9.0")


@pytest.fixture
def request_(request_: BuildRequest) -> BuildRequest:
    return replace(request_, flavour=Flavour.RTX)


def _built(request: BuildRequest, version: str, flavour: Flavour, flags: type[IntEnum] | None = None) -> FakeTensorRT:
    module = FakeTensorRT(version, Device())
    if flags is not None:
        module.BuilderFlag = flags
    build(TensorRT(flavour, module), request, lambda _: None)
    return module


def _choose(monkeypatch: pytest.MonkeyPatch, options: EngineOptions, *gpus: Gpu, version: str = RTX) -> BuildTarget:
    flavour = Flavour.RTX if version == RTX else Flavour.TENSORRT
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver(gpus, None if gpus else "no NVIDIA driver"))
    monkeypatch.setattr(tensorrt_flavour, "installed", lambda: (flavour,))
    monkeypatch.setattr(tensorrt_flavour, "load", lambda _: TensorRT(flavour, FakeTensorRT(version, Device())))
    return choose_target(options)


def test_engines_allocate_nothing_while_they_run(request_: BuildRequest) -> None:
    """So that their stream can be captured (release notes of TensorRT for RTX 1.2)."""
    _built(request_, RTX, Flavour.RTX)
    header, _ = read_plan(Path(request_.plan).read_bytes())
    assert header["user_allocation"]


@pytest.mark.parametrize("flags", [BuilderFlag10, BuilderFlagRtx], ids=["as of today", "with RTX's flag"])
def test_engines_of_the_full_tensorrt_allocate_their_memory(flags: type[IntEnum], request_: BuildRequest) -> None:
    """Their contexts are made without memory of ours, which REQUIRE_USER_ALLOCATION would demand ("requires user
    allocation when creating an execution context", docstring of TensorRT for RTX 1.7)."""
    _built(replace(request_, flavour=Flavour.TENSORRT), FULL, Flavour.TENSORRT, flags)
    header, _ = read_plan(Path(request_.plan).read_bytes())
    assert not header["user_allocation"]


@pytest.mark.parametrize(("version", "flavour"), [(RTX, Flavour.RTX), (FULL, Flavour.TENSORRT)])
@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_the_builders_default(version: str, flavour: Flavour, tf32: bool, request_: BuildRequest) -> None:
    module = _built(replace(request_, flavour=flavour, tf32=tf32), version, flavour)
    assert (module.BuilderFlag.TF32 in module.config.flags) is tf32


def test_a_timing_cache_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = EngineOptions(timing_cache=tmp_path / "cache")
    with pytest.raises(
        EngineError, match=r"--timing-cache .*cache has no effect in TensorRT for RTX 1\.7.*; leave it out"
    ):
        _choose(monkeypatch, options)
    assert _choose(monkeypatch, options, Gpu("A", "8.6"), version=FULL).gpu is not None


@pytest.mark.parametrize("capability", ["8.0", "9.0", "10.0", "6.1"])
def test_gpus_that_it_does_not_support(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """8.0 is in its enum and not in its support matrix."""
    expected = rf"does not build for compute capability {capability}; it supports 7.5, 8.6, 8.9, 12.0, 12.1: GeForce"
    with pytest.raises(EngineError, match=expected):
        _choose(monkeypatch, EngineOptions(compute_capabilities=(capability,)))
    with pytest.raises(EngineError, match=r"build on the GPU itself, with --flavour tensorrt"):
        _choose(monkeypatch, EngineOptions(), Gpu("this one", capability))


def test_gpus_that_only_a_newer_release_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"compute capability 12\.9; .*; update it"):
        _choose(monkeypatch, EngineOptions(compute_capabilities=("12.9",)))


def test_the_targets_are_those_of_the_installed_enum() -> None:
    found = capabilities(TensorRT(Flavour.RTX, FakeTensorRT(RTX, Device())))
    assert {name: value.name for name, value in found.items()} == {
        "7.5": "SM75", "8.6": "SM86", "8.9": "SM89", "12.0": "SM120", "12.1": "SM121",
    }  # fmt: skip
    assert capabilities(TensorRT(Flavour.TENSORRT, FakeTensorRT(FULL, Device()))) == {}


def test_an_h100_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(FACTS, flavour=Flavour.RTX, version=RTX, gpu=None)
    machine = ThisMachine(
        driver=Driver((H100,)),
        device=0,
        flavours=(Flavour.RTX,),
        version=lambda _: RTX,
        pycuda=True,
        plugin_library=Path(__file__),
    )
    problem = misfit(Path("m.engine"), facts, machine)
    assert problem is not None and "H100" in problem and "9.0" in problem and "install the full TensorRT" in problem
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((H100,)))
    assert any("H100" in line and "does not support" in line for line in tensorrt.missing_for((Flavour.RTX,)))
    assert not any("H100" in line for line in tensorrt.missing_for((Flavour.TENSORRT, Flavour.RTX)))


@pytest.mark.skipif(
    libraries.find(libraries.Library.TENSORRT) is None, reason="libhyperseg_trt.so is not built, which builds seal"
)
@pytest.mark.parametrize("arguments", [[], ["--no-tf32"]])
def test_the_command_asks_for_tf32_or_not(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, request_: BuildRequest
) -> None:
    asked: list[BuildRequest] = []

    def record(request: BuildRequest, _: object) -> str:
        asked.append(request)
        raise EngineError("enough was seen")

    monkeypatch.setattr(build_module, "run_build", record)
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((), "no NVIDIA driver"))
    monkeypatch.setattr(tensorrt_flavour, "installed", lambda: (Flavour.RTX,))
    monkeypatch.setattr(tensorrt_flavour, "load", lambda _: TensorRT(Flavour.RTX, FakeTensorRT(RTX, Device())))
    with pytest.raises(EngineError, match="enough was seen"):
        build_command.main([request_.model, *arguments], standalone_mode=False)
    assert [request.tf32 for request in asked] == [not arguments]

"""hyperseg-build-engine on a machine with an NVIDIA GPU and the full TensorRT, both doubles."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hyperseg_export.cli.build_engine import build
from hyperseg_export.engine import build as build_module
from hyperseg_export.engine import worker
from hyperseg_export.engine.process import BuildListener, BuildRequest
from hyperseg_runtime import libraries
from hyperseg_runtime.backends import cuda, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Driver, Gpu
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.cli.common import execute

from .doubles.cuda import Device
from .doubles.tensorrt import FakeTensorRT

VERSION = "10.14.1.48"

LAYERS = """\
Layers:
Name: level0, LayerType: custom_layer, Inputs: [ { Name: a, Dimensions: [1,8], Datatype: Half, Format: x }], \
Constants: [], Outputs: [ { Name: b, Dimensions: [1,8], Datatype: Half, Format: x }], TacticName: t
"""
"""What the builder logs of one plugin."""


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


@dataclass
class Server:
    """Runs the command, and records the build requests."""

    run: Callable[[str], Done]
    requests: list[BuildRequest]
    folder: Path


def make_server(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    native: Sequence[str] = ("libhyperseg_trt.so", "libhyperseg_trt_register.so", "libhyperseg_nvinfer.so"),
    flavour: Flavour = Flavour.TENSORRT,
) -> Server:
    """A machine whose package has the libraries `native`, with `folder`/work as the working folder."""
    module = FakeTensorRT(VERSION, Device())
    requests: list[BuildRequest] = []

    def run_build(request: BuildRequest, listener: BuildListener) -> str:
        requests.append(request)
        worker.build(TensorRT(Flavour.TENSORRT, module), request, lambda _: None)
        return LAYERS

    library = folder / "lib"
    library.mkdir()
    for name in native:
        (library / name).touch()
    monkeypatch.setenv(libraries.ENVIRONMENT_VARIABLE, str(library))
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((Gpu("NVIDIA L4", "8.9"),)))
    monkeypatch.setattr(tensorrt_flavour, "installed", lambda: (flavour,))
    monkeypatch.setattr(tensorrt_flavour, "load", lambda _: TensorRT(flavour, module))
    monkeypatch.setattr(build_module, "run_build", run_build)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)  # the double has no libcuda to run the engine with
    work = folder / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(line: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            execute(build, "hyperseg-build-engine", shlex.split(line))
        captured = capfd.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return Server(run, requests, work)

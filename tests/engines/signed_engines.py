"""A machine with a GPU's double on it, engines for it, and the keys of other machines."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hyperseg_runtime import libraries, sidecar, trusted_keys
from hyperseg_runtime.backends import cuda, tensorrt, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Driver, Gpu
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.sidecar import Sidecar

from .graphs import metadata
from .sessions import Machine
from .test_sidecar import FACTS


def become(monkeypatch: pytest.MonkeyPatch, plugins: Path) -> Machine:
    """Gives this machine a GPU, TensorRT, pycuda and the plugin library `plugins`, of which the double only needs that
    it exists."""
    double = Machine(FACTS.version)
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", double.cuda)
    monkeypatch.setattr(cuda, "load_driver", lambda: double.driver)
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((Gpu("Double", "8.6"),)))
    monkeypatch.setattr(tensorrt_flavour, "installed", lambda: (Flavour.TENSORRT,))
    monkeypatch.setattr(tensorrt_flavour, "load", lambda _: double.tensorrt)
    monkeypatch.setattr(tensorrt, "is_installed", lambda _: True)
    found = {library: libraries.find(library) for library in libraries.Library}
    found[libraries.Library.TENSORRT] = plugins
    monkeypatch.setattr(libraries, "find", lambda library: found[library])
    return double


def describe(engine: Path, plugins: Path, source: Path | None = None, **changes: Any) -> None:
    """Writes the engine's sidecar, signed with this machine's key. `source` is its ONNX file."""
    plan = engine.read_bytes()
    facts = replace(
        FACTS,
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        plan_bytes=len(plan),
        onnx_sha256=FACTS.onnx_sha256 if source is None else hashlib.sha256(source.read_bytes()).hexdigest(),
        onnx_name=None if source is None else source.name,
        plugin_sha256=hashlib.sha256(plugins.read_bytes()).hexdigest(),
    )
    text = Sidecar(metadata(), replace(facts, **changes)).to_signed_json()
    sidecar.path_of(engine).write_text(text, encoding="utf-8")


@contextmanager
def on_machine(home: Path) -> Iterator[None]:
    """The keys of another machine."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(trusted_keys.HOME_VARIABLE, str(home))
        yield

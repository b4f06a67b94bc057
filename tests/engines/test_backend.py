"""`Segmenter` with an engine file, on the test double of a GPU."""

from __future__ import annotations

import hashlib
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hyperseg_runtime import Segmenter, libraries, sidecar
from hyperseg_runtime.backends import cuda, tensorrt, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Driver, Gpu
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import BackendUnavailableError, ModelError
from hyperseg_runtime.sidecar import Sidecar

from .graphs import HEIGHT, WIDTH, metadata, miniature, save
from .sessions import Machine
from .test_sidecar import FACTS

pytestmark = pytest.mark.skipif(
    libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built"
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """This machine, with a GPU, TensorRT, pycuda and our plugin library."""
    double = Machine(FACTS.version)
    package = ModuleType("pycuda")
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", double.cuda)
    monkeypatch.setattr(cuda, "load_driver", lambda: double.driver)
    monkeypatch.setattr(cuda, "find_gpus", lambda: Driver((Gpu("Double", "8.6"),)))
    monkeypatch.setattr(tensorrt_flavour, "installed", lambda: (Flavour.TENSORRT,))
    monkeypatch.setattr(tensorrt_flavour, "load", lambda _: double.tensorrt)
    monkeypatch.setattr(tensorrt, "is_installed", lambda _: True)
    found = {**{library: libraries.find(library) for library in libraries.Library}, libraries.Library.TENSORRT: _ANY}
    monkeypatch.setattr(libraries, "find", lambda library: found[library])
    return double


_ANY = Path(__file__)  # the double only checks that it exists


@pytest.fixture
def engine(machine: Machine, tmp_path: Path) -> Path:
    model = miniature()
    save(model, tmp_path / "m.onnx")
    path = tmp_path / "m.fp16.engine"
    path.write_bytes(machine.plan(model))
    _describe(path)
    return path


def _describe(path: Path, **changes: Any) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = hashlib.sha256(path.with_name("m.onnx").read_bytes()).hexdigest()
    facts = replace(FACTS, plan_sha256=digest, onnx_sha256=source, **changes)
    sidecar.path_of(path).write_text(Sidecar(metadata(), facts).to_json(), encoding="utf-8")


def test_labels_of_frames(machine: Machine, engine: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)
    expected = Segmenter(engine.with_name("m.onnx"))(frame)
    segment = Segmenter(engine)
    np.testing.assert_array_equal(segment(frame), expected)
    assert frame.shape[:2] != (HEIGHT, WIDTH)
    segment.close()
    machine.assert_all_released()


def test_a_segmenter_of_an_engine_is_pickled_as_its_file(engine: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)
    with Segmenter(engine) as segment, pickle.loads(pickle.dumps(segment)) as other:
        assert other.backend is BackendName.TENSORRT
        np.testing.assert_array_equal(other(frame), segment(frame))
        with pytest.raises(TypeError, match="TensorRTSession cannot be pickled"):
            pickle.dumps(segment.session)


def test_an_engine_that_fits_is_taken_before_the_onnx_file(engine: Path) -> None:
    assert tensorrt.availability(BackendName.TENSORRT).available
    assert find_model(engine.parent).path == engine


def test_an_engine_for_another_gpu_is_an_error(engine: Path) -> None:
    _describe(engine, compute_capabilities=("9.0",))
    with pytest.raises(ModelError, match=r"but Double has 8\.6; .*choose --model m\.onnx"):
        find_model(engine.parent)
    with pytest.raises(BackendUnavailableError, match=r"built for compute capability 9.0, but Double has 8.6"):
        Segmenter(engine)


def test_a_flipped_bit_is_found_before_tensorrt_sees_it(engine: Path) -> None:
    plan = bytearray(engine.read_bytes())
    plan[-100] ^= 1
    engine.write_bytes(plan)
    with pytest.raises(ModelError, match="its SHA-256 differs"):
        Segmenter(engine)

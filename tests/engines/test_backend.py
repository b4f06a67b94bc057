"""`Segmenter` with an engine file, on the test double of a GPU."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hyperseg_export.passes.low_logits import give_low_logits
from hyperseg_runtime import Segmenter, libraries
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import BackendUnavailableError, ModelError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.preprocess import restore

from .graphs import HEIGHT, WIDTH, edited, miniature, save
from .sessions import Machine
from .signed_engines import become, describe

pytestmark = pytest.mark.skipif(
    libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built"
)


PLUGINS = Path(__file__)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return become(monkeypatch, PLUGINS)


@pytest.fixture
def engine(machine: Machine, tmp_path: Path) -> Path:
    model = miniature()
    save(model, tmp_path / "m.onnx")
    path = tmp_path / "m.fp16.engine"
    path.write_bytes(machine.plan(model))
    describe(path, PLUGINS, path.with_name("m.onnx"))
    return path


def test_labels_of_frames(machine: Machine, engine: Path) -> None:
    """This engine gives labels alone, as those of earlier versions: they are enlarged by nearest neighbour, and a
    warning says so once."""
    frame = np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)
    with Segmenter(engine.with_name("m.onnx")) as onnx:
        own = onnx.infer(onnx.prepare(frame))
    with pytest.warns(UserWarning, match=r"enlarged by nearest neighbour.*build the engine") as said:
        segment = Segmenter(engine)
    assert len(said) == 1
    np.testing.assert_array_equal(segment(frame), restore(own, (100, 130)))
    assert frame.shape[:2] != (HEIGHT, WIDTH)
    segment.close()
    machine.assert_all_released()


def test_an_engine_with_logits_gives_labels_of_frames(machine: Machine, tmp_path: Path) -> None:
    """In every fit those of its ONNX file, whose logits the double's are."""
    model = edited(miniature(), give_low_logits)
    save(miniature(), tmp_path / "m.onnx")
    path = tmp_path / "m.engine"
    path.write_bytes(machine.plan(model))
    describe(path, PLUGINS, path.with_name("m.onnx"), low_logits=True)
    frames = [np.random.default_rng(seed).integers(0, 256, (100 + seed, 130, 3), np.uint8) for seed in range(3)]
    for fit in Fit:
        with Segmenter(path, fit=fit) as segment, Segmenter(tmp_path / "m.onnx", fit=fit) as onnx:
            assert segment.session.gives_low_logits
            for labels, expected in zip(segment.batch(frames), onnx.batch(frames), strict=True):
                np.testing.assert_array_equal(labels, expected)
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
    describe(engine, PLUGINS, engine.with_name("m.onnx"), compute_capabilities=("9.0",))
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

"""Engines of the published networks on the device: built, verified, deserialised, executed, captured."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.engine.report import EngineReport
from hyperseg_export.options import Resolution
from hyperseg_export.rounding import FACTOR
from hyperseg_export.samples import sample_images
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.discovery import shipped_models
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.upsampling import Placement, Window, labels_at

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("tensorrt_gpu")]

PRESETS = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")


def _build(folder: Path, preset: str, half: bool, dynamic: bool = False) -> EngineReport:
    pytest.importorskip("torch")
    from hyperseg_export import ExportOptions, Target, export_onnx
    from hyperseg_export.samples import random_network

    # Freshly drawn weights would shrink values to less than float16 can hold.
    options = ExportOptions(verify=False, dynamic=dynamic, target=Target.TENSORRT)
    export_onnx(random_network(preset), folder / "m.onnx", options)
    options = EngineOptions(half=half)
    if dynamic:
        options = EngineOptions(half=half, least=Resolution(128, 128), most=Resolution(1024, 1024), batch=2)
    return build_engine(folder / "m.onnx", options=options)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_engines_agree_with_onnxruntime(preset: str, half: bool, tmp_path: Path) -> None:
    """`build_engine` compares the engine with ONNX Runtime, and discards one that disagrees."""
    report = _build(tmp_path, preset, half)
    assert report.execution is not None
    assert 1.0 - report.execution.label_agreement <= FACTOR * report.execution.turned_by_rounding
    assert report.audited_by == "the engine inspector"
    assert report.audit.plugin_layers > 0
    assert (report.audit.half_share > 0.5) is half


@pytest.mark.parametrize("half", [False, True])
def test_the_shipped_model(half: bool, tmp_path: Path) -> None:
    """Its logits are further apart than with random weights: half precision and TF32 change few labels."""
    (model,) = shipped_models(portable=False).values()
    report = build_engine(model, tmp_path / "m.engine", EngineOptions(half=half))
    assert report.execution is not None
    assert report.execution.label_agreement >= 0.99


@pytest.mark.parametrize("half", [False, True])
def test_labels_at_the_sizes_of_frames(half: bool, tmp_path: Path) -> None:
    """The kernel on the device computes what the CPU does from the same logits, but for rounding: where it chooses
    another class, both are within that of each other."""
    (model,) = shipped_models(portable=False).values()
    report = build_engine(model, tmp_path / "m.engine", EngineOptions(half=half))
    assert report.facts.low_logits
    notes: list[str] = []
    session = tensorrt.open_session(report.engine, BackendName.TENSORRT, SessionOptions(), notes.append)
    assert not [note for note in notes if "labels" in note], notes
    spec = session.metadata.input
    image = np.ascontiguousarray(sample_images(spec.height, spec.width, seed=3)[0][None])
    (low,) = session.run_low(image)
    for placement in (
        Placement((720, 1280)),
        Placement((2160, 3840)),
        Placement((97, 131)),
        Placement((1080, 1920), Window(10.5, 0, low.shape[1] - 21, low.shape[2])),
    ):
        (labels,) = session.run_labels(image, [placement])
        assert np.mean(labels == labels_at(low, placement)) > 0.9999  # ties within a rounding of float32
    (own,) = session.run_labels(image, [Placement((spec.height, spec.width))])
    np.testing.assert_array_equal(own, session.run(image).labels[0])  # the same interpolation, by the plugin
    session.close()


def test_a_cuda_graph_computes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _build(tmp_path, "camvid-s", half=True)
    image = np.random.default_rng(0).integers(0, 256, (1, 576, 768, 3), np.uint8)
    captured = tensorrt.open_session(report.engine, BackendName.TENSORRT, SessionOptions())
    assert "CUDA graph" in captured.description
    monkeypatch.setattr("hyperseg_runtime.backends.stream.CudaGraph.record", lambda *_: None)
    plain = tensorrt.open_session(report.engine, BackendName.TENSORRT, SessionOptions())
    assert "CUDA graph" not in plain.description
    for _ in range(3):
        np.testing.assert_array_equal(captured.run(image).labels, plain.run(image).labels)
    assert captured.run_timed(image).device_seconds > 0
    captured.close()
    plain.close()


def test_shapes_within_a_profile(tmp_path: Path) -> None:
    report = _build(tmp_path, "camvid-s", half=True, dynamic=True)
    session = tensorrt.open_session(report.engine, BackendName.TENSORRT, SessionOptions())
    for batch, height, width in ((1, 128, 128), (2, 576, 768), (1, 1024, 1024)):
        labels = session.run(np.zeros((batch, height, width, 3), np.uint8)).labels
        assert labels is not None and labels.shape == (batch, height, width)
    with pytest.raises(InputError, match="--min and --max"):
        session.run(np.zeros((1, 1152, 1152, 3), np.uint8))
    session.close()


def test_threads_and_torch_beside_the_session(tmp_path: Path) -> None:
    """The session uses the device's primary context and leaves it as it was."""
    import torch

    report = _build(tmp_path, "camvid-s", half=True)
    session = tensorrt.open_session(report.engine, BackendName.TENSORRT, SessionOptions())
    image = np.random.default_rng(0).integers(0, 256, (1, 576, 768, 3), np.uint8)
    expected = session.run(image).labels
    wrong = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(session.run(image).labels, expected):
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    if torch.cuda.is_available():
        total = sum(float(torch.ones(1000, device="cuda").sum()) for _ in range(50))
        assert total == 50_000
    for thread in threads:
        thread.join()
    assert wrong == []
    session.close()

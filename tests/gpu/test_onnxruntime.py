"""Exported files, and the shipped model in standard operators, in ONNX Runtime's CUDA provider."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hyperseg_export.reference import LabelCheck
from hyperseg_export.samples import random_network, sample_images
from hyperseg_runtime.backends.protocol import AUTO, BackendName, SessionOptions
from hyperseg_runtime.backends.selection import open_session
from hyperseg_runtime.discovery import shipped_models
from hyperseg_runtime.metadata import Precision, Target
from hyperseg_runtime.upsampling import Placement, Window, labels_at

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("onnxruntime_gpu")]


def compare(model: Path, backend: str) -> list[str]:
    """Runs a file on CUDA and compares its labels; returns the notes on its placement."""
    notes: list[str] = []
    session = open_session(model, backend, SessionOptions(), notes.append)
    assert session.backend is BackendName.ONNXRUNTIME_CUDA
    spec = session.metadata.input
    images = np.ascontiguousarray(sample_images(spec.height, spec.width, seed=3)[0][None])
    labels = session.run(images).labels
    session.close()
    assert labels is not None
    # TF32 is the provider's default (use_tf32): factors of 11 bits, as float16's.
    comparison = LabelCheck(onnx.load(str(model)), Precision.FLOAT16).compare(images, labels)
    assert comparison.explained, comparison
    return notes


def test_the_shipped_model() -> None:
    (model,) = shipped_models(portable=True).values()
    compare(model, BackendName.ONNXRUNTIME_CUDA.value)


@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "dynamic"])
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
@pytest.mark.parametrize("preset", ["camvid-s", "voc-l"])
def test_all_of_a_file_for_cuda_runs_there(preset: str, precision: Precision, dynamic: bool, tmp_path: Path) -> None:
    """Opening the session checks the placement, with the listing or the profile that this onnxruntime offers."""
    from hyperseg_export import ExportOptions, export_onnx

    path = tmp_path / "m.onnx"
    options = ExportOptions(target=Target.CUDA, precision=precision, dynamic=dynamic, verify=False)
    export_onnx(random_network(preset), path, options)
    assert compare(path, AUTO) == []


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_labels_of_frames_are_computed_on_the_device(precision: Precision, tmp_path: Path) -> None:
    from hyperseg_export import ExportOptions, export_onnx

    path = tmp_path / "m.onnx"
    options = ExportOptions(target=Target.CUDA, precision=precision, dynamic=True, verify=False)
    export_onnx(random_network("camvid-s"), path, options)
    notes: list[str] = []
    session = open_session(path, AUTO, SessionOptions(), notes.append)
    spec = session.metadata.input
    images = np.stack([sample_images(spec.height, spec.width, seed=seed)[0] for seed in (3, 4)])
    placements = [Placement((720, 1280)), Placement((1081, 97), Window(3.5, 2, 100, 90.25))]
    low = session.run_low(images)
    for labels, logits, placement in zip(session.run_labels(images, placements), low, placements, strict=True):
        assert np.mean(labels == labels_at(logits, placement)) > 0.9999  # ties within a rounding of float32
    session.close()
    assert notes == []


def test_an_export_for_cuda_is_compared_there(tmp_path: Path) -> None:
    from hyperseg_export import ExportOptions, export_onnx

    report = export_onnx(random_network("camvid-s"), tmp_path / "m.onnx", ExportOptions(target=Target.CUDA))
    assert report.not_run is None

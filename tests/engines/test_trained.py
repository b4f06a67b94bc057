"""Effect of half precision on a trained network: the shipped model, whose file stores its weights in float16."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import worst
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.reference import LabelCheck
from hyperseg_export.rounding import FACTOR
from hyperseg_runtime import libraries
from hyperseg_runtime.discovery import shipped_models
from hyperseg_runtime.metadata import Precision

from .sessions import labels_of

MODELS = list(shipped_models(portable=False).values())
pytestmark = pytest.mark.skipif(len(MODELS) != 1, reason="no model ships with this build of the package")


@pytest.mark.skipif(libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built")
def test_labels_stay() -> None:
    source = read_model(MODELS[0])
    original = onnx.load(str(MODELS[0]))
    prepared = prepare(source, EngineOptions(half=True)).proto
    spec = source.metadata.input
    across = np.linspace(0, 4 * np.pi, spec.width)
    down = np.linspace(0, 3 * np.pi, spec.height)[:, None]
    waves = [np.sin(across * k) * np.cos(down * k) for k in (1.0, 1.7, 2.9)]
    image = (127.5 * (1 + np.stack(waves, axis=-1)))[None].astype(np.uint8)
    comparison = LabelCheck(original, Precision.FLOAT16).compare(image, labels_of(prepared, image))
    worst.note("engine's graph, float16: labels turned", 1 - comparison.equal, FACTOR * comparison.turned_by_rounding)
    assert comparison.explained, comparison
    assert comparison.turned_by_rounding < 0.01  # in a trained network, rounding changes only borders of regions


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize(("half", "capability"), [(True, "8.6"), (False, "7.5")])
def test_its_engine(half: bool, capability: str, tmp_path: object) -> None:
    """Float32 for Turing too, which compiles no matrix product in float32."""
    options = EngineOptions(half=half, compute_capabilities=(capability,))
    report = build_engine(MODELS[0], f"{tmp_path}/m.engine", options)
    assert report.audit.plugin_layers > 0
    assert report.audit.half_share > 0.8 if half else report.audit.half_layers == 0

"""The portable variant of the shipped model: equal results, shared weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

from hyperseg_export import ExportOptions, Resolution, export_onnx
from hyperseg_export.errors import ExportError
from hyperseg_export.reference import LabelCheck
from hyperseg_export.samples import random_network
from hyperseg_export.shipped_model import write_portable_twin
from hyperseg_runtime import Segmenter
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Precision


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    model = tmp_path_factory.mktemp("models") / "small.onnx"
    export_onnx(random_network("camvid-lite"), model, ExportOptions(resolution=Resolution(64, 128), verify=False))
    return model, write_portable_twin(model)


def test_the_twin_is_small_and_computes_the_same(pair: tuple[Path, Path]) -> None:
    if find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    model, twin = pair
    assert twin.stat().st_size < 0.02 * model.stat().st_size
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    check = LabelCheck(onnx.load(model), Precision.FLOAT32)
    for file in (model, twin):
        with Segmenter(file) as segment:
            comparison = check.compare(image[None, ..., ::-1], segment(image)[None])
            assert comparison.explained, comparison


def test_a_portable_model_needs_no_twin(pair: tuple[Path, Path]) -> None:
    with pytest.raises(ExportError, match="portable already"):
        write_portable_twin(pair[1])

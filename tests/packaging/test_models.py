"""The shipped model and its portable variant. A new model needs: python -m hyperseg_export.shipped_model MODEL"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import worst
from hyperseg_runtime import Segmenter
from hyperseg_runtime.discovery import PACKAGED_MODELS, PORTABLE_SUFFIX
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Metadata, Precision
from hyperseg_runtime.onnx_file import read_properties
from hyperseg_street.street import Street

MODELS = [path for path in PACKAGED_MODELS.glob("*.onnx") if not path.name.endswith(PORTABLE_SUFFIX)]


def test_one_model_of_at_most_16_megabytes_ships_with_its_card() -> None:
    (model,) = MODELS
    assert model.stat().st_size <= 16_000_000
    assert list(PACKAGED_MODELS.glob("*.md"))


@pytest.mark.numerics
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_the_portable_twin_belongs_to_the_model(model: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from hyperseg_export.reference import LabelCheck
    from hyperseg_export.rounding import FACTOR

    if find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    frame = np.ascontiguousarray(Street(0, 240, 320).frame(0.0).image[..., ::-1])
    with Segmenter(model) as ours, Segmenter(model.with_suffix(PORTABLE_SUFFIX)) as standard:
        size = Metadata.from_properties(read_properties(model)).input
        frame = cv2.resize(frame, (size.width, size.height))
        check = LabelCheck(onnx.load(model), Precision.FLOAT32)
        for segment in (ours, standard):
            comparison = check.compare(frame[None, ..., ::-1], segment(frame)[None])
            worst.note("shipped model: labels turned", 1 - comparison.equal, FACTOR * comparison.turned_by_rounding)
            assert comparison.explained, comparison

"""The shipped model, in standard operators, in ONNX Runtime's CUDA provider."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hyperseg_export.reference import LabelCheck
from hyperseg_export.samples import sample_images
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.backends.selection import open_session
from hyperseg_runtime.discovery import shipped_models
from hyperseg_runtime.metadata import Precision

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("onnxruntime_gpu")]


def test_the_shipped_model() -> None:
    (model,) = shipped_models(portable=True).values()
    session = open_session(model, BackendName.ONNXRUNTIME_CUDA.value, SessionOptions())
    spec = session.metadata.input
    images = np.ascontiguousarray(sample_images(spec.height, spec.width, seed=3)[0][None])
    labels = session.run(images).labels
    session.close()
    assert labels is not None
    # TF32 is the provider's default: factors of 11 bits, as float16's.
    comparison = LabelCheck(onnx.load(str(model)), Precision.FLOAT16).compare(images, labels)
    assert comparison.explained, comparison
    assert comparison.equal >= 0.99

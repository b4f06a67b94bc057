"""The backends' names, apart from everything heavy: command lines need them before they need numpy."""

from __future__ import annotations

from enum import Enum


class BackendName(str, Enum):
    """The ways to run a model, by the names that `--backend` takes."""

    TENSORRT = "tensorrt"
    ONNXRUNTIME_CUDA = "onnxruntime-cuda"
    ONNXRUNTIME_OPENVINO = "onnxruntime-openvino"
    ONNXRUNTIME = "onnxruntime"


AUTO = "auto"
BACKEND_CHOICES = (AUTO, *(name.value for name in BackendName))

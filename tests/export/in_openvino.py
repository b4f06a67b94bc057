"""Models in OpenVINO, if it is installed."""

from __future__ import annotations

import os
from typing import Any

import pytest


def compiled(model: bytes) -> Any:
    """The model on OpenVINO's CPU device, in float32. Skips if it is not installed."""
    openvino = pytest.importorskip("openvino")
    if os.environ.get("ONEDNN_MAX_CPU_ISA") == "SSE41":
        pytest.skip('OpenVINO generates code that its oneDNN refuses under this cap ("bad combination")')
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

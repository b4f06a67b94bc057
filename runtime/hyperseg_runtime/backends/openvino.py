"""OpenVINO's execution provider plugin for ONNX Runtime (the package onnxruntime-ep-openvino)."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from hyperseg_runtime import machine
from hyperseg_runtime.backends.protocol import Availability, SessionOptions
from hyperseg_runtime.errors import BackendUnavailableError
from hyperseg_runtime.metadata import Precision

if TYPE_CHECKING:
    import onnxruntime

_PACKAGE = "onnxruntime-ep-openvino"
_HINTS = {Precision.FLOAT32: "f32", Precision.FLOAT16: "f16", Precision.BFLOAT16: "bf16"}


def availability() -> Availability:
    installed = machine.version(_PACKAGE)
    if installed is None:
        return Availability.lacking(f"{_PACKAGE} is not installed; pip install {_PACKAGE}")
    try:
        _cpu_device()
    except BackendUnavailableError as error:
        return Availability.lacking(str(error))
    return Availability(True, f"{_PACKAGE} {installed}")


def add_to(settings: onnxruntime.SessionOptions, options: SessionOptions) -> None:
    """Adds OpenVINO's CPU device; nodes that it does not support (our operators) stay with ONNX Runtime."""
    device = _cpu_device()
    hint = _HINTS.get(options.precision or Precision.FLOAT32, "f32")
    config = {
        "CPU": {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": options.threads or machine.inference_threads(),
        }
    }
    settings.add_provider_for_devices([device], {"load_config": json.dumps(config)})


@cache  # a library can be registered once in a process
def _cpu_device() -> Any:
    import onnxruntime

    try:
        import onnxruntime_ep_openvino as plugin

        onnxruntime.register_execution_provider_library(_PACKAGE, plugin.get_library_path())
    except Exception as error:  # a missing package, an old onnxruntime, a library that does not load
        text = " ".join(str(error).split())
        raise BackendUnavailableError(f"OpenVINO's plugin does not start: {text}; pip install {_PACKAGE}") from error
    for device in onnxruntime.get_ep_devices():
        if device.ep_name == plugin.get_ep_name() and "CPU" in str(device.device.type):
            return device
    raise BackendUnavailableError(
        "OpenVINO's plugin offers no device for this processor (it supports Intel's); use --backend onnxruntime"
    )

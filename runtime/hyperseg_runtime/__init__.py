"""Inference runtime of HyperSeg: opens models and segments frames, without torch or onnx.

    from hyperseg_runtime import Segmenter

    segment = Segmenter("model.onnx")
    labels = segment(frame)  # uint8 [h, w, 3] BGR -> uint8 [h, w]
    for frame, labels in segment.video("drive.mp4"):
        shown = segment.overlay(frame, labels)

Names are imported when they are first used, so that this alone loads neither OpenCV nor ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperseg_runtime.errors import HyperSegError, InputError, ModelError
    from hyperseg_runtime.fitting import Fit
    from hyperseg_runtime.metadata import Metadata
    from hyperseg_runtime.output.legend import Corner
    from hyperseg_runtime.output.palette import Palette
    from hyperseg_runtime.output.render import Appearance, Style
    from hyperseg_runtime.pipeline import LogitFilter
    from hyperseg_runtime.segmenter import Segmenter
    from hyperseg_runtime.stabiliser import Stabiliser
    from hyperseg_runtime.video.sources import Selection, SourceFrame

__all__ = [
    "Appearance",
    "Corner",
    "Fit",
    "HyperSegError",
    "InputError",
    "LogitFilter",
    "Metadata",
    "ModelError",
    "Palette",
    "Segmenter",
    "Selection",
    "SourceFrame",
    "Stabiliser",
    "Style",
]
__version__ = "0.1.0"

_HOMES = {
    "Appearance": "output.render",
    "Corner": "output.legend",
    "Fit": "fitting",
    "HyperSegError": "errors",
    "InputError": "errors",
    "LogitFilter": "pipeline",
    "Metadata": "metadata",
    "ModelError": "errors",
    "Palette": "output.palette",
    "Segmenter": "segmenter",
    "Selection": "video.sources",
    "SourceFrame": "video.sources",
    "Stabiliser": "stabiliser",
    "Style": "output.render",
}


def __getattr__(name: str) -> object:
    """Imports the public names on first use, so that `--help` does not load OpenCV and ONNX Runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""Inference runtime of HyperSeg: opens models and segments frames, without torch or onnx.

from hyperseg_runtime import Segmenter

segment = Segmenter("model.onnx")
labels = segment(frame)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperseg_runtime.errors import HyperSegError
    from hyperseg_runtime.metadata import Metadata
    from hyperseg_runtime.segmenter import Segmenter
    from hyperseg_runtime.stabiliser import Stabiliser

__all__ = ["HyperSegError", "Metadata", "Segmenter", "Stabiliser"]
__version__ = "0.1.0"

_HOMES = {"HyperSegError": "errors", "Metadata": "metadata", "Segmenter": "segmenter", "Stabiliser": "stabiliser"}


def __getattr__(name: str) -> object:
    """Imports the public names on first use, so that `--help` does not load OpenCV and ONNX Runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

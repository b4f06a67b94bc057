"""HyperSeg on a device: open a model, segment frames. Needs neither torch nor onnx."""

from __future__ import annotations

__version__ = "0.1.0"

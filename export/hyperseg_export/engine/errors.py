"""The errors of a build. Each message is one line that names the thing, its value and the remedy."""

from __future__ import annotations

from hyperseg_export.errors import ExportError


class EngineError(ExportError):
    """The ONNX file was read, but no engine came of it."""


class UnsupportedOperatorError(EngineError):
    """The graph has operators that TensorRT, or our plugin library, does not take."""


class BuildCrashError(EngineError):
    """TensorRT ended the process that it built in."""

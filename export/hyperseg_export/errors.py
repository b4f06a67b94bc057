"""Errors of exports and engine builds. Each message is one line that names the subject, its value and the remedy."""

from __future__ import annotations

from hyperseg_runtime.errors import HyperSegError


class ExportError(HyperSegError):
    """The checkpoint was read, but the export failed."""


class OptionError(HyperSegError):
    """An option with a value that the network or this machine does not support; commands exit with code 2."""

    exit_code = 2


class DisagreementError(ExportError):
    """The exported file disagrees with the PyTorch network; it was discarded."""


class EngineError(ExportError):
    """The ONNX file was read, but the build failed."""


class UnsupportedOperatorError(EngineError):
    """The graph has operators that TensorRT or our plugin library does not support."""


class BuildCrashError(EngineError):
    """TensorRT crashed the build process."""

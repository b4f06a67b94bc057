"""Errors of exports and engine builds. Each message is one line that names the thing, its value and the remedy."""

from __future__ import annotations

from hyperseg_runtime.errors import HyperSegError


class ExportError(HyperSegError):
    """The checkpoint was read, but no file came of it."""


class OptionError(HyperSegError):
    """An option with a value that the network or this machine does not take; commands exit with code 2."""

    exit_code = 2


class DisagreementError(ExportError):
    """The exported file does not compute what the PyTorch network computes; nothing was kept."""


class EngineError(ExportError):
    """The ONNX file was read, but no engine came of it."""


class UnsupportedOperatorError(EngineError):
    """The graph has operators that TensorRT, or our plugin library, does not take."""


class BuildCrashError(EngineError):
    """TensorRT ended the process that it built in."""

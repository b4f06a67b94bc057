"""Exports HyperSeg networks to ONNX and builds TensorRT engines.

Importing this package imports neither torch nor onnx; the names below are resolved when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperseg_runtime.metadata import Target

    from hyperseg_export.errors import DisagreementError, ExportError, OptionError
    from hyperseg_export.onnx_export import export_onnx
    from hyperseg_export.options import ExportOptions, Resolution
    from hyperseg_export.report import ExportReport

_HOMES = {
    "DisagreementError": "errors",
    "ExportError": "errors",
    "ExportOptions": "options",
    "ExportReport": "report",
    "OptionError": "errors",
    "Resolution": "options",
    "Target": "options",
    "build_engine": "engine",
    "export_onnx": "onnx_export",
}

__all__ = [
    "DisagreementError",
    "ExportError",
    "ExportOptions",
    "ExportReport",
    "OptionError",
    "Resolution",
    "Target",
    "build_engine",
    "export_onnx",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

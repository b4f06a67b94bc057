"""Builds TensorRT engines from ONNX, with TensorRT 10, TensorRT 11 or TensorRT for RTX. Never imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperseg_export.engine.build import build_engine
    from hyperseg_export.engine.options import EngineOptions, Profile
    from hyperseg_export.engine.report import EngineReport

_HOMES = {"build_engine": "build", "EngineOptions": "options", "EngineReport": "report", "Profile": "options"}

__all__ = ["EngineOptions", "EngineReport", "Profile", "build_engine"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

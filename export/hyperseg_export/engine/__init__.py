"""Builds TensorRT engines from ONNX, with TensorRT 10, TensorRT 11 or TensorRT for RTX. Never imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperseg_runtime.extras import missing_of

from hyperseg_export.errors import EngineError

if TYPE_CHECKING:
    from hyperseg_export.engine.build import build_engine
    from hyperseg_export.engine.options import EngineOptions, Profile
    from hyperseg_export.engine.report import EngineReport

_HOMES = {"build_engine": "build", "EngineOptions": "options", "EngineReport": "report", "Profile": "options"}

__all__ = ["EngineOptions", "EngineReport", "Profile", "build_engine", "require_graph_tools"]


def require_graph_tools() -> None:
    """Raises EngineError where a package is missing that the modules of this one import."""
    missing = missing_of("engine")
    if missing:
        raise EngineError(
            f"building engines needs {', '.join(missing)}, missing here; "
            'pip install "hyperseg[engine]" (wheels for x86-64 and ARM; needs no PyTorch)'
        )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_graph_tools()
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

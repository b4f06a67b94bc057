"""Optional packages of the distribution, found without importing them."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_GRAPH_TOOLS = ("onnx", "onnx_ir", "onnxscript", "onnx_graphsurgeon")
EXTRAS = {
    "engine": (*_GRAPH_TOOLS, "cryptography"),
    "export": ("torch", *_GRAPH_TOOLS, "safetensors"),
    "train": ("torch", *(("tomli",) if sys.version_info < (3, 11) else ())),
}
"""Extra to the modules that its commands need; it installs more (training works without TensorBoard)."""


def is_installed(module: str) -> bool:
    """Whether a top-level module could be imported."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        spec = find_spec(module)
        return spec is not None and spec.origin is not None  # without an origin: a folder of that name
    except (ImportError, ValueError):  # a half-removed package
        return False


def missing_of(extra: str) -> tuple[str, ...]:
    """The modules of an extra that are not installed."""
    return tuple(module for module in EXTRAS[extra] if not is_installed(module))


def pip_install(extra: str) -> str:
    return f'pip install "hyperseg[{extra}]"'


def explain(error: ImportError) -> str:
    """An import that failed, as one line with the remedy: the extra if an optional package is not installed."""
    module = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and module in EXTRAS["export"]:
        missing = ", ".join(dict.fromkeys((module, *missing_of("export"))))
        return f"this needs {missing}, which this installation does not have; {pip_install('export')}"
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; hyperseg-doctor says what is missing and how to install it"
    return f"{error}; a package is installed but does not load, so reinstall it (hyperseg-doctor may say which)"

"""Backend selection: the requested one, or the fastest that can run a model on this machine."""

from __future__ import annotations

import importlib
from pathlib import Path

from hyperseg_runtime.backends.protocol import (
    AUTO,
    BACKEND_CHOICES,
    Availability,
    Backend,
    BackendName,
    Note,
    Session,
    SessionOptions,
    as_backend,
)
from hyperseg_runtime.errors import BackendUnavailableError, ModelError
from hyperseg_runtime.graph_target import read_target
from hyperseg_runtime.model_kinds import is_engine, remedy

_AUTO_ORDER = (BackendName.ONNXRUNTIME_CUDA, BackendName.ONNXRUNTIME)
"""For ONNX files, the first that is available and fits the file's target. OpenVINO is used only on request: with our
operators it is not always the faster one."""


def backend(name: BackendName) -> Backend:
    """The module that implements a backend, imported on first use."""
    module = "tensorrt" if name is BackendName.TENSORRT else "onnxruntime"
    return as_backend(importlib.import_module(f"hyperseg_runtime.backends.{module}"))


def availability(name: BackendName) -> Availability:
    """Whether `name` can run here, and why not."""
    return backend(name).availability(name)


def choose(model: Path, wanted: str, note: Note) -> BackendName:
    """The backend for a model file. Raises ModelError or BackendUnavailableError with the remedy.

    `note` receives a sentence where a faster backend is passed over, since the file was not exported for it, and where
    the file's metadata are wrong about that.
    """
    engine = is_engine(model)
    if wanted != AUTO:
        name = _named(wanted)
        if engine is not (name is BackendName.TENSORRT):
            kind = (
                "an engine, which only backend tensorrt runs"
                if engine
                else "not an engine, which backend tensorrt needs"
            )
            raise ModelError(f"{model} is {kind}; use --backend auto")
        candidates: tuple[BackendName, ...] = (name,)
    else:
        candidates = (BackendName.TENSORRT,) if engine else _AUTO_ORDER
    reasons = []
    for name in candidates:
        found = availability(name)
        if not found.available:
            reasons.append(f"{name.value}: {found.detail}")
            continue
        if wanted != AUTO or name is not BackendName.ONNXRUNTIME_CUDA:
            return name
        fit = read_target(model)
        if (said := fit.cuda_misfit or fit.contradiction) is not None:
            note(said)
        if fit.cuda_misfit is None:
            return name
        reasons.append(fit.cuda_misfit)
    raise BackendUnavailableError(f"{model} cannot run here: {'; '.join(reasons)}")


def open_session(model: Path, wanted: str, options: SessionOptions, note: Note) -> Session:
    """Opens `model` with the backend that `choose` returns. Raises what `Backend.open_session` does.

    `note` receives a sentence where the model runs otherwise than its user may expect.
    """
    if model.is_dir() or not model.exists():
        problem = "is a folder, not a model" if model.is_dir() else "does not exist"
        raise ModelError(f"{model} {problem}; name an ONNX file or an engine (--model FILE)")
    wrong = None if is_engine(model) else remedy(model)
    if wrong is not None:
        raise ModelError(wrong)
    name = choose(model, wanted, note)
    return backend(name).open_session(model, name, options, note)


def _named(wanted: str) -> BackendName:
    try:
        return BackendName(wanted)
    except ValueError:
        raise BackendUnavailableError(
            f"there is no backend {wanted!r}; choose one of {', '.join(BACKEND_CHOICES)}"
        ) from None

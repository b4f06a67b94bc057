"""Backends: the ways to run a model file."""

from __future__ import annotations

from hyperseg_runtime.backends.protocol import (
    Availability,
    Backend,
    BackendName,
    Images,
    Outputs,
    Session,
    SessionOptions,
    TimedOutputs,
)

__all__ = ["Availability", "Backend", "BackendName", "Images", "Outputs", "Session", "SessionOptions", "TimedOutputs"]

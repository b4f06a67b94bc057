"""The state of a run on disk, written so that a kill or a full disk leaves the previous state whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


class StateError(RuntimeError):
    """A run's state cannot be written or continued; the message says why and what to do."""


def write_atomically(value: Any, path: Path) -> None:
    """`torch.save` beside `path`, flush to the disk, then rename over it."""
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            torch.save(value, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        kept = "; the previous one is kept" if path.exists() else ""
        raise StateError(f"{path} could not be written ({_reason(error)}){kept}") from error


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_atomically` wrote; tensors and plain values only."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise StateError(f"{path} cannot be read ({_reason(error)}); start again with another --out") from error
    if not isinstance(state, dict):
        raise StateError(f"{path} is not the state of a training run")
    return state


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

"""Files of a training run: its resumable state and its models, written atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import hyperseg
from hyperseg.output_files import atomic_output


class StateError(RuntimeError):
    """The state of a run cannot be written or resumed; the message gives the reason and the remedy."""


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write the state of a run; a kill or a full disk leaves the previous state intact.

    Raises:
        StateError: the file cannot be written.
    """
    try:
        with atomic_output(path) as draft:
            torch.save(state, draft)
    except (OSError, RuntimeError) as error:
        kept = "; the previous one is kept" if path.exists() else ""
        raise StateError(f"{path} could not be written ({_reason(error)}){kept}") from error


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote; tensors and plain values only.

    Raises:
        StateError: the file cannot be read, or is not the state of a run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise StateError(f"{path} cannot be read ({_reason(error)}); start again with another --out") from error
    if not isinstance(state, dict):
        raise StateError(f"{path} is not the state of a training run")
    return state


def save_model(model: hyperseg.HyperSeg, path: Path) -> None:
    """Write a model by `hyperseg.save`.

    Raises:
        StateError: the file cannot be written.
    """
    try:
        hyperseg.save(model, path)
    except (OSError, RuntimeError) as error:
        raise StateError(f"{path} could not be written ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

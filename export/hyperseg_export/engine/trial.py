"""The engine on this machine's GPU: inspected, run, and compared with ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperseg_export.engine.model_file import ModelFile
from hyperseg_export.engine.report import Execution
from hyperseg_export.engine.targets import Target


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    layers: str | None
    """The engine inspector's list, as JSON; None where the engine was not deserialised."""
    execution: Execution | None
    not_executed: str | None


def try_engine(source: ModelFile, plan: Path, target: Target) -> Trial:
    """Runs the plan on a few inputs if this machine has the GPU it was built for."""
    if target.gpu is None:
        return Trial(None, None, "no GPU here that the engine was built for")
    raise NotImplementedError

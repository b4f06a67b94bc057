"""What came of a build, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime.sidecar import EngineFacts

from hyperseg_export.engine.audit import Audit
from hyperseg_export.engine.float16 import Conversion


@dataclass(frozen=True)
class Execution:
    """The engine against ONNX Runtime, on this machine's GPU."""

    inputs: int
    label_agreement: float
    """Share of pixels with equal labels, 0 to 1."""
    turned_by_rounding: float
    """Share of ONNX Runtime's own labels that an error of the size of rounding's turns."""


@dataclass(frozen=True)
class EngineReport:
    """An engine, its sidecar, and what is known about it."""

    engine: Path
    sidecar: Path
    facts: EngineFacts
    audit: Audit
    audited_by: str
    """Who listed the layers: the engine inspector, or the builder."""
    seconds: float
    bytes: int
    conversion: Conversion | None
    """What --fp16 did; None without it."""
    execution: Execution | None
    """None where nothing was executed."""
    not_executed: str | None
    """Why nothing was executed."""

    def to_dict(self) -> dict[str, Any]:
        kept = () if self.conversion is None else self.conversion.kept
        return {
            "engine": str(self.engine),
            "sidecar": str(self.sidecar),
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            **self.facts.to_dict(),
            "audited_by": self.audited_by,
            "reformats": self.audit.reformats,
            "plugin_reformats": self.audit.plugin_reformats,
            "kept_float32": [
                {"node": node.name, "operator": node.operator, "reason": node.reason.value} for node in kept
            ],
            "label_agreement": None if self.execution is None else self.execution.label_agreement,
            "not_executed": self.not_executed,
        }

"""Report on an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime.metadata import Precision, Target, Verification


@dataclass(frozen=True)
class ExportReport:
    """The written file and its agreement with the PyTorch network.

    Attributes:
        path: of the ONNX file.
        file_bytes: its size.
        weight_bytes: size of the weights in it.
        nodes: number of operators in the graph.
        own_nodes: how many of them are ours (domain `hyperseg`).
        precision: of the network's arithmetic.
        target: that the graph was made for.
        seconds: that the export took, verification included.
        verification: None where it was not asked for. It ran in ONNX Runtime on the CPU, whatever the target.
        not_run: why the target's device was not run besides; None where it was, or where it is the CPU.
    """

    path: Path
    file_bytes: int
    weight_bytes: int
    nodes: int
    own_nodes: int
    precision: Precision
    target: Target
    seconds: float
    verification: Verification | None = None
    not_run: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "file_bytes": self.file_bytes,
            "weight_bytes": self.weight_bytes,
            "nodes": self.nodes,
            "own_nodes": self.own_nodes,
            "precision": self.precision.value,
            "target": self.target.value,
            "seconds": round(self.seconds, 3),
            "verification": None if self.verification is None else self.verification.to_dict(),
            "not_run": self.not_run,
        }

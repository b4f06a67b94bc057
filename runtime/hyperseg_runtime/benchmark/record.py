"""A benchmark's whole record: what was measured, on what, and what must be said beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark.measure import NOISY, Distribution, Ratio
from hyperseg_runtime.benchmark.video import VideoResult
from hyperseg_runtime.segmenter import Segmenter


@dataclass(frozen=True)
class ModelFacts:
    """A model as the record names it."""

    name: str
    path: Path
    backend: str
    preset: str | None
    resolution: tuple[int, int]
    precision: str
    input: str
    output: str

    @staticmethod
    def of(name: str, segmenter: Segmenter) -> ModelFacts:
        about = segmenter.metadata
        return ModelFacts(
            name,
            segmenter.path,
            segmenter.description,
            about.preset,
            segmenter.size,
            about.precision.value,
            about.input.dtype.value,
            about.output.value,
        )

    def to_dict(self) -> dict[str, object]:
        height, width = self.resolution
        return {
            "name": self.name,
            "path": str(self.path),
            "backend": self.backend,
            "preset": self.preset,
            "resolution": f"{height}x{width}",
            "precision": self.precision,
            "input": self.input,
            "output": self.output,
        }


@dataclass(frozen=True)
class Record:
    """Everything that --json prints and --report draws."""

    models: Sequence[ModelFacts]
    distributions: Sequence[Distribution]
    ratios: Sequence[Ratio]
    videos: Sequence[VideoResult]
    warm_up: int
    repetitions: int
    threads: int

    @property
    def warnings(self) -> list[str]:
        return [
            f"{one.name}, protocol {one.protocol.value}: the times vary by {one.variation:.0%} (over {NOISY:.0%}); "
            "something else was running, measure again"
            for one in self.distributions
            if one.noisy
        ]

    def to_dict(self) -> dict[str, object]:
        return {
            "machine": machine.describe(),
            "batch": 1,
            "warm_up": self.warm_up,
            "repetitions": self.repetitions,
            "threads": self.threads,
            "models": [model.to_dict() for model in self.models],
            "results": [one.to_dict() for one in self.distributions],
            "ratios": [one.to_dict() for one in self.ratios],
            "videos": [one.to_dict() for one in self.videos],
            "warnings": self.warnings,
        }

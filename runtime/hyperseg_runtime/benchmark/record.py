"""The record of a benchmark: machine, models, results and warnings; as JSON, and for the tables and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark.conditions import Conditions, disturbances, unsteady
from hyperseg_runtime.benchmark.footprint import PeakMemory
from hyperseg_runtime.benchmark.profile import Profile
from hyperseg_runtime.benchmark.protocols import VIDEO_DEFINITIONS, Protocol
from hyperseg_runtime.benchmark.statistics import DEFINITIONS, FEWEST_FOR_PERCENTILES, Distribution, Ratio
from hyperseg_runtime.benchmark.subject import Subject
from hyperseg_runtime.benchmark.throughput import Throughput
from hyperseg_runtime.benchmark.video import VideoResult
from hyperseg_runtime.graph_target import read_target
from hyperseg_runtime.model_kinds import is_engine


@dataclass(frozen=True)
class ModelFacts:
    """The description of a model in the record."""

    name: str
    path: Path
    backend: str
    preset: str | None
    resolution: tuple[int, int]
    batch: int
    """Images of one run under protocols A and B."""
    classes: int
    precision: str
    target: str
    """What an ONNX file was made for; "engine" of an engine."""
    input: str
    output: str
    file_bytes: int
    """Of the file, and of those that it loads weights from."""
    parameters: int | None
    """Numbers in its weights; None if unknown (engines)."""

    @staticmethod
    def of(subject: Subject, file_bytes: int, parameters: int | None) -> ModelFacts:
        segmenter, about = subject.segmenter, subject.segmenter.metadata
        return ModelFacts(
            subject.name,
            subject.path,
            segmenter.description,
            about.preset,
            segmenter.size,
            subject.batch,
            about.num_classes,
            about.precision.value,
            "engine" if is_engine(subject.path) else read_target(subject.path).target.value,
            about.input.dtype.value,
            about.output.value,
            file_bytes,
            parameters,
        )

    def to_dict(self) -> dict[str, object]:
        height, width = self.resolution
        return {**vars(self), "path": str(self.path), "resolution": f"{height}x{width}"}


@dataclass(frozen=True)
class Failure:
    """A model that failed during the measurement; what was measured before is kept."""

    model: str
    step: str
    error: str

    def __str__(self) -> str:
        return f"{self.model} failed ({self.step}): {self.error}"


@dataclass
class Record:
    """The results of a benchmark. It is filled step by step, so that an interrupted one keeps what it has."""

    models: Sequence[ModelFacts]
    warm_up: int
    repetitions: int
    threads: int
    distributions: list[Distribution] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    videos: list[VideoResult] = field(default_factory=list)
    throughput: list[Throughput] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    memory: dict[str, PeakMemory] = field(default_factory=dict)
    """By model."""
    conditions: dict[Protocol, Conditions] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    interrupted: bool = False

    @property
    def empty(self) -> bool:
        return not (self.distributions or self.videos or self.throughput)

    @property
    def warnings(self) -> list[str]:
        found = [unsteady(one, self.conditions.get(one.protocol)) for one in self.distributions]
        warnings = [text for text in found if text is not None]
        for protocol in (Protocol.VIDEO, Protocol.THROUGHPUT):  # of few runs: their times do not tell
            seen = disturbances(self.conditions[protocol]) if protocol in self.conditions else []
            if seen:
                warnings.append(f"protocol {protocol.value}: {' and '.join(seen)}; measure again")
        if (shared := shared_cpus(self.threads)) is not None:
            warnings.append(shared)
        if self.distributions and min(len(one.ms) for one in self.distributions) < FEWEST_FOR_PERCENTILES:
            warnings.append(
                f"percentiles and confidence intervals of fewer than {FEWEST_FOR_PERCENTILES} runs are rough "
                "(--repetitions)"
            )
        warnings += self._unlike()
        warnings += [f"{video.name}, protocol C: {problem}" for video in self.videos for problem in video.problems]
        return warnings

    def _unlike(self) -> list[str]:
        """A line for each respect in which the compared models do other work."""
        if not self.ratios:
            return []
        return [
            f"the compared models have {what}: " + ", ".join(f"{one.name} {value(one)}" for one in self.models)
            for what, value in (
                ("different resolutions", lambda one: "{}x{}".format(*one.resolution)),
                ("different numbers of classes", lambda one: str(one.classes)),
                ("different outputs", lambda one: one.output),
            )
            if len({value(one) for one in self.models}) > 1
        ]

    def to_dict(self) -> dict[str, object]:
        return {
            "machine": describe_machine(),
            "batch": max((model.batch for model in self.models), default=1),
            "warm_up": self.warm_up,
            "repetitions": self.repetitions,
            "threads": self.threads,
            "interrupted": self.interrupted,
            "definitions": {**DEFINITIONS, **{f"video, {name}": text for name, text in VIDEO_DEFINITIONS.items()}},
            "models": [{**model.to_dict(), "peak_memory": self._memory_of(model.name)} for model in self.models],
            "results": [one.to_dict() for one in self.distributions],
            "ratios": [one.to_dict() for one in self.ratios],
            "videos": [one.to_dict() for one in self.videos],
            "throughput": [one.to_dict() for one in self.throughput],
            "profiles": [one.to_dict() for one in self.profiles],
            "conditions": {protocol.value: one.to_dict() for protocol, one in self.conditions.items()},
            "failures": [dict(vars(failure)) for failure in self.failures],
            "warnings": self.warnings,
            "notes": self.notes,
        }

    def _memory_of(self, model: str) -> Mapping[str, object] | None:
        return self.memory[model].to_dict() if model in self.memory else None


def shared_cpus(threads: int) -> str | None:
    """A warning where there are more threads than CPUs; None otherwise."""
    cpus = machine.available_cpus()
    if threads <= cpus:
        return None
    return (
        f"{machine.threads_text(threads)} share the {cpus} CPUs of this process; leave --threads out for one per core"
    )


def describe_machine() -> dict[str, object]:
    """The machine's entry in the record."""
    return {
        **machine.describe(),
        "memory_bytes": machine.memory_bytes(),
        "cpu_governor": machine.cpu_governor(),
    }

"""The record of a benchmark: models, machine, results and warnings, as JSON and as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark.measure import NOISY, Distribution, Ratio
from hyperseg_runtime.benchmark.profile import Profile
from hyperseg_runtime.benchmark.protocols import VideoResult
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import Stage


@dataclass(frozen=True)
class ModelFacts:
    """The description of a model in the record."""

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
    """The results of a benchmark, as --json prints and --report draws them."""

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


def print_record(record: Record) -> None:
    console = _console()
    threads = machine.threads_text(record.threads)
    console.print(f"{machine.cpu_name()}, {threads}, batch 1, warm-up {record.warm_up}", highlight=False)
    for model in record.models:
        height, width = model.resolution
        kind = f"{height}x{width} {model.precision}, {model.input} -> {model.output}"
        console.print(f"{model.name}: {kind}, {model.backend}", highlight=False)
    _print_distributions(console, record)
    if record.ratios:
        table = _table(
            f"time relative to {record.ratios[0].baseline} (below 1 is faster)", "model", "protocol", "ratio", "95 %"
        )
        for one in record.ratios:
            table.add_row(one.name, one.protocol.value, f"{one.ratio:.3f}", f"{one.low:.3f} - {one.high:.3f}")
        console.print(table)
    if record.videos:
        title = "C: video end to end; the stages' medians in ms"
        table = _table(title, "model", "frames", "frames/s", "wall / inference", *(stage.value for stage in Stage))
        for video in record.videos:
            stages = [f"{video.stages[stage.value].median_ms:.1f}" for stage in Stage]
            rate, overhead = f"{video.frames_per_second:.2f}", f"{video.overhead:.3f}"
            table.add_row(video.name, str(video.frames), rate, overhead, *stages)
        console.print(table)
    for warning in record.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False)


def _print_distributions(console: Console, record: Record) -> None:
    for protocol in dict.fromkeys(one.protocol for one in record.distributions):
        title = f"{protocol.value}: {protocol.title}, ms"
        table = _table(title, "model", "median", "5 %", "95 %", "99 %", "frames/s", "variation")
        for one in record.distributions:
            if one.protocol is protocol:
                values = (one.median, one.percentile(5), one.percentile(95), one.percentile(99), one.frames_per_second)
                table.add_row(one.name, *(f"{value:.2f}" for value in values), f"{one.variation:.1%}")
        console.print(table)


def print_profile(profile: Profile) -> None:
    console = _console()
    console.print(f"{profile.model}: {profile.total_ms:.2f} ms in operators, {profile.runs} runs", highlight=False)
    for title, shares in (("part of the network", profile.parts), ("operator", profile.operators)):
        table = _table("", title, "ms", "share", "calls")
        for share in shares:
            table.add_row(share.name, f"{share.ms:.3f}", f"{share.ms / profile.total_ms:.1%}", f"{share.calls:g}")
        console.print(table)


def _console() -> Console:
    """A console wide enough for every table; a narrow terminal wraps the lines itself."""
    console = Console(soft_wrap=True)
    console.width = max(console.width, 140)
    return console


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right")
    return table

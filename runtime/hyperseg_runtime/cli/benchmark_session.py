"""Execution of hyperseg-benchmark: measures the models, prints and writes the record."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from hyperseg_runtime import machine, sidecar
from hyperseg_runtime.backends.protocol import AUTO, BackendName
from hyperseg_runtime.benchmark.measure import Distribution, measure, ratios
from hyperseg_runtime.benchmark.profile import profile_model
from hyperseg_runtime.benchmark.protocols import Entry, Protocol, VideoResult, make_clip, natural_images, run_video
from hyperseg_runtime.benchmark.record import ModelFacts, Record, print_profile, print_record
from hyperseg_runtime.benchmark.report import render_report
from hyperseg_runtime.cli import common
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.output_files import write_bytes
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.targets import Targets

NAME = "hyperseg-benchmark"


@dataclass(frozen=True)
class BenchmarkSession:
    """The options of hyperseg-benchmark, decoded."""

    protocols: Sequence[str]
    backend: str
    threads: int | None
    repetitions: int
    warm_up: int
    video: Path | None
    max_frames: int | None
    resolution: Size | None
    report: Path | None
    output: Path | None
    force: bool
    as_json: bool

    def run(self, models: Sequence[Path]) -> None:
        targets = Targets(self.force)
        for target, role in ((self.report, "the report"), (self.output, "the record")):
            if target is not None:
                targets.add(target, role)
        paths = _models_or_found(models, self.as_json, self.backend)
        for path in paths:
            targets.keep(path, "a model")
            targets.keep(sidecar.path_of(path), "a model's description")
        if self.video is not None:
            targets.keep(self.video, "the clip")
        with ExitStack() as stack:
            entries = [self._open(stack, path, name) for path, name in zip(paths, _names(paths), strict=True)]
            record = self._measure(entries)
        if self.report is not None:
            write_bytes(self.report, render_report(record).encode())
        text = json.dumps(record.to_dict(), indent=2)
        if self.output is not None:
            write_bytes(self.output, text.encode())
        if self.as_json:
            common.say(text)
            return
        print_record(record)
        if self.report is not None:
            common.say(f"-> {self.report}")

    def _open(self, stack: ExitStack, path: Path, name: str) -> Entry:
        segmenter = Segmenter(path, backend=self.backend, threads=self.threads, resolution=self.resolution)
        stack.enter_context(segmenter)
        return Entry(name, segmenter, natural_images(segmenter))

    def _measure(self, entries: Sequence[Entry]) -> Record:
        chosen = [Protocol(letter) for letter in dict.fromkeys(self.protocols)]
        distributions: list[Distribution] = []
        compared = []
        videos: list[VideoResult] = []
        with _progress(len(chosen) * self.repetitions, visible=not self.as_json) as advance:
            for protocol in chosen:
                if protocol is Protocol.VIDEO:
                    videos = self._run_videos(entries)
                    continue
                found = measure(entries, protocol, self.repetitions, warm_up=self.warm_up, on_round=advance)
                distributions += found
                compared += ratios(found)
        return Record(
            models=[ModelFacts.of(entry.name, entry.segmenter) for entry in entries],
            distributions=distributions,
            ratios=compared,
            videos=videos,
            warm_up=self.warm_up,
            repetitions=self.repetitions,
            threads=self.threads or machine.inference_threads(),
        )

    def _run_videos(self, entries: Sequence[Entry]) -> list[VideoResult]:
        with tempfile.TemporaryDirectory(prefix="hyperseg-") as folder:
            clip = self.video
            if clip is None:
                clip = Path(folder) / "moving.mp4"
                make_clip(clip)
            return [run_video(entry.name, entry.segmenter, clip, self.max_frames) for entry in entries]


def profile_models(models: Sequence[Path], *, threads: int | None, repetitions: int, as_json: bool) -> None:
    """Executes hyperseg-benchmark --profile."""
    paths = _models_or_found(models, as_json, BackendName.ONNXRUNTIME.value)
    profiles = [profile_model(path, threads=threads, repetitions=repetitions) for path in paths]
    if as_json:
        common.say(json.dumps([profile.to_dict() for profile in profiles], indent=2))
        return
    for profile in profiles:
        print_profile(profile)


def _models_or_found(models: Sequence[Path], quiet: bool, backend: str = AUTO) -> Sequence[Path]:
    wanted: Sequence[Path | None] = models or [None]
    located = [locate(model, backend=backend) for model in wanted]
    for found in located:
        common.announce(NAME, found, quiet=quiet or bool(models))
    return [found.path for found in located]


def _names(paths: Sequence[Path]) -> list[str]:
    """File names, with their folders if two are the same."""
    names = [path.name for path in paths]
    return [path.name if names.count(path.name) == 1 else str(path) for path in paths]


@contextmanager
def _progress(total: int, visible: bool) -> Iterator[Callable[[], None]]:
    """A progress bar, on terminals only; yields the function to call after each round."""
    bar = Progress(console=Console(), transient=True, disable=not (visible and sys.stdout.isatty()))
    with bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)

"""Execution of hyperseg-benchmark: checks what can be checked, measures, writes and prints whatever was measured."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hyperseg_runtime import machine, sidecar
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.benchmark.footprint import file_bytes, parameters
from hyperseg_runtime.benchmark.measure import one_line
from hyperseg_runtime.benchmark.profile import Profile, profile_model
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.record import ModelFacts, Record, shared_cpus
from hyperseg_runtime.benchmark.report import render_report
from hyperseg_runtime.benchmark.session import Benchmark, Phase, Plan
from hyperseg_runtime.benchmark.subject import Opening, Subject, distinct_names, weight_files
from hyperseg_runtime.benchmark.terminal import print_profile, print_record
from hyperseg_runtime.benchmark.video import check_clip
from hyperseg_runtime.cli import common
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.output_files import replacing
from hyperseg_runtime.planned_outputs import PlannedOutputs

NAME = "hyperseg-benchmark"


@dataclass(frozen=True)
class OutputPaths:
    """The files to write."""

    output: Path | None
    report: Path | None
    force: bool

    def check(self, models: Sequence[Path], clip: Path | None) -> None:
        """Raises OutputError where one cannot be written, is an input, or both are the same file."""
        outputs = PlannedOutputs(self.force)
        for target, role in ((self.report, "the report"), (self.output, "the record")):
            if target is not None:
                outputs.add(target, role)
        for model in models:
            for file in _files_of(model):
                outputs.keep(file, "a file of a model")
        if clip is not None:
            outputs.keep(clip, "the clip")

    def write(self, target: Path, content: str) -> None:
        with replacing(target, self.force) as draft:
            draft.write_bytes(content.encode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class BenchmarkSession:
    """The options of hyperseg-benchmark, decoded."""

    plan: Plan
    opening: Opening
    targets: OutputPaths
    as_json: bool

    def run(self, models: Sequence[Path]) -> int:
        """Measures; returns the exit code. What was measured is kept where a model fails and after Ctrl-C."""
        paths = self._checked(models, self.opening.backend)
        if Protocol.VIDEO in self.plan.protocols and self.plan.video is not None:
            check_clip(self.plan.video)
        common.interrupt_on_signals()
        if (shared := shared_cpus(self.opening.threads or 0)) is not None:
            click.echo(f"{NAME}: warning: {shared}", err=True)  # now, since it may take very long
        with ExitStack() as stack:
            subjects: list[Subject] = []
            notes: list[str] = []

            def note(text: str) -> None:
                common.note(NAME, text)
                notes.append(text)

            for path, name in zip(paths, distinct_names(paths), strict=True):
                subjects.append(Subject.open(name, path, self.opening, note))
                stack.enter_context(subjects[-1].segmenter)
            record = self._new_record(subjects)
            record.notes += notes
            phase = stack.enter_context(_progress(visible=not self.as_json))
            try:
                Benchmark(self.plan, subjects, record, phase).run()
            except KeyboardInterrupt:
                record.interrupted = True
                if record.empty:
                    raise
        self._finish(record)
        for failure in record.failures:
            common.complain(NAME, str(failure))
        if record.interrupted:
            common.complain(NAME, "interrupted; the results until then were kept")
            return common.INTERRUPTED
        return common.FAILURE if record.failures else 0

    def profile(self, models: Sequence[Path]) -> int:
        """Profiles; returns the exit code. The models after one that fails are profiled too."""
        paths = self._checked(models, BackendName.ONNXRUNTIME.value)
        profiles: list[Profile] = []
        code = 0
        try:
            for path, name in zip(paths, distinct_names(paths), strict=True):
                try:
                    profiles.append(self._profile(path, name))
                except Exception as error:  # whatever it is, the other models' profiles are kept
                    common.report(NAME, _about(path, error))
                    code = common.FAILURE
                    continue
                if not self.as_json:
                    print_profile(profiles[-1])
        except KeyboardInterrupt:
            if not profiles:
                raise
            common.complain(NAME, "interrupted; the profiles until then were kept")
            code = common.INTERRUPTED
        text = json.dumps([profile.to_dict() for profile in profiles], indent=2, allow_nan=False)
        problem: Exception | None = None
        if self.targets.output is not None and profiles:
            try:
                self.targets.write(self.targets.output, text)
            except OutputError as error:
                problem = _rescued(error, text)
        if self.as_json:
            common.say(text)
        if problem is not None:
            raise problem
        return code

    def _profile(self, path: Path, name: str) -> Profile:
        return profile_model(
            path,
            name,
            threads=self.opening.threads,
            resolution=self.opening.resolution,
            repetitions=self.plan.repetitions,
            warm_up=self.plan.warm_up,
        )

    def _checked(self, models: Sequence[Path], backend: str) -> Sequence[Path]:
        """The models' paths, once the outputs are checked against them."""
        paths = _located(models, self.as_json, backend)
        self.targets.check(paths, self.plan.video)
        return paths

    def _new_record(self, subjects: Sequence[Subject]) -> Record:
        return Record(
            models=[ModelFacts.of(one, file_bytes(one.path), parameters(one.path)) for one in subjects],
            warm_up=self.plan.warm_up,
            repetitions=self.plan.repetitions,
            threads=self.opening.threads or machine.inference_threads(),
        )

    def _finish(self, record: Record) -> None:
        """Writes the files, then prints. What cannot be written is an error, but only after all else is out."""
        text = json.dumps(record.to_dict(), indent=2, allow_nan=False)
        problems: list[Exception] = []
        contents: tuple[tuple[Path | None, Callable[[], str]], ...] = (
            (self.targets.output, lambda: text),
            (self.targets.report, lambda: render_report(record)),
        )
        for target, content in contents:
            if target is not None:
                try:
                    self.targets.write(target, content())
                except Exception as error:
                    problems.append(error)
        if problems:
            problems[0] = _rescued(problems[0], text)
        if self.as_json:
            common.say(text)
        else:
            print_record(record)
            if self.targets.report is not None and not problems:
                common.say(f"-> {self.targets.report}")
        for problem in problems[1:]:
            common.report(NAME, problem)
        if problems:
            raise problems[0]


def _about(path: Path, error: Exception) -> Exception:
    """The error with the file's name in its message."""
    text = one_line(error)
    return error if path.name in text else HyperSegError(f"{path}: {text}")


def _rescued(problem: Exception, text: str) -> Exception:
    """Saves the record in the folder for temporary files, and adds its place to the error."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="hyperseg-benchmark-", suffix=".json", delete=False) as file:
            file.write(text)
    except OSError:
        return problem
    return OutputError(f"{problem}; the results are in {file.name}")


def _files_of(model: Path) -> list[Path]:
    """The files of a model that no output may replace. Whether they can be read is found out when it is opened."""
    try:
        files = weight_files(model)
    except (HyperSegError, OSError):
        files = [model]
    if is_engine(model):
        files.append(sidecar.path_of(model))
    return files


def _located(models: Sequence[Path], quiet: bool, backend: str) -> Sequence[Path]:
    wanted: Sequence[Path | None] = models or [None]
    located = [locate(model, backend=backend) for model in wanted]
    for found in located:
        common.announce(NAME, found, quiet=quiet or bool(models))
    return [found.path for found in located]


@contextmanager
def _progress(visible: bool) -> Iterator[Phase]:
    """Progress bars, on terminals only; yields the function that begins a phase."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    # A disabled Progress of rich 13.7 prints an empty line all the same.
    if not (visible and sys.stdout.isatty()) or console.is_dumb_terminal:
        yield lambda *_: lambda: None
        return
    with Progress(*columns, console=console, transient=True) as bar:

        def phase(title: str, total: int | None) -> Callable[[], None]:
            for done in bar.task_ids:
                bar.update(done, visible=False)
            task = bar.add_task(title, total=total)
            return lambda: bar.advance(task)

        yield phase

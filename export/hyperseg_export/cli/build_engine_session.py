"""A run of hyperseg-build-engine: finds the model, builds, and reports."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.common import interrupt_on_signals, say
from hyperseg_runtime.discovery import PACKAGED_MODELS, locate
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hyperseg_export.engine.build import build_engine, default_output
from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.engine.report import EngineReport
from hyperseg_export.passes.float16 import Conversion


@dataclass(frozen=True)
class BuildEngineSession:
    """One run of the command."""

    options: EngineOptions
    as_json: bool
    verbose: bool
    list_kept: bool

    def run(self, model: Path | None, output: Path | None) -> int:
        source = self._locate(model)
        if output is None and source.parent == PACKAGED_MODELS:
            output = Path(default_output(source, self.options.half).name)
        interrupt_on_signals()
        with BuildProgress(visible=not self.as_json, verbose=self.verbose) as listener:
            report = build_engine(source, output, self.options, listener)
        if self.as_json:
            say(json.dumps(report.to_dict(), indent=1))
        else:
            self._print(report)
        return 0

    def _locate(self, model: Path | None) -> Path:
        found = locate(model, backend=BackendName.ONNXRUNTIME.value, portable=False)
        common.announce("hyperseg-build-engine", found, self.as_json or model is not None, "Model:")
        return found.path

    def _print(self, report: EngineReport) -> None:
        facts, audit = report.facts, report.audit
        targets = ", ".join(facts.compute_capabilities)
        size = f"{report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s"
        say(f"{report.engine}: {size}, described by {report.sidecar.name}")
        say(f"Built by {facts.flavour.label} {facts.version} for compute capability {targets}")
        share = f"{audit.half_share:.0%} in half precision"
        say(f"Audit by {report.audited_by}: {audit.layers} layers, {share}, {audit.plugin_layers} plugins")
        say(f"Copy layers: {audit.reformats}, of which next to plugins: {audit.plugin_reformats}")
        if report.conversion is not None:
            self._print_kept(report.conversion)
        if report.execution is not None:
            agreement = f"{report.execution.label_agreement:.3%} of the labels on {report.execution.inputs} inputs"
            turned = f"rounding alone changes {report.execution.turned_by_rounding:.3%}"
            say(f"Executed on {facts.gpu or 'the GPU'}: agrees with ONNX Runtime on {agreement} ({turned})")
        else:
            say(f"Nothing was executed: {report.not_executed}")

    def _print_kept(self, conversion: Conversion) -> None:
        kept = conversion.kept
        counts = ", ".join(f"{count} {name}" for name, count in Counter(node.operator for node in kept).most_common())
        hint = "" if self.list_kept or not kept else "; --keep-fp32 lists them"
        kept_text = f"{len(kept)} kept in float32 ({counts or 'none'}){hint}"
        say(f"{conversion.half_nodes} nodes in float16, {kept_text}")
        for node in kept if self.list_kept else ():
            say(f"  {node.operator} {node.name}: {node.reason.value}")


class BuildProgress:
    """A progress bar for a build, and with `verbose` TensorRT's messages. Silent if stdout is not a terminal."""

    def __init__(self, visible: bool, verbose: bool) -> None:
        self._verbose = verbose
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(),
            disable=not (visible and sys.stdout.isatty()),
            transient=True,
        )
        self._task = self._bar.add_task("Preparing", total=1.0)

    def __enter__(self) -> BuildProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, phase: str, share: float) -> None:
        self._bar.update(self._task, description=f"{phase:.40}", completed=share)

    def message(self, text: str) -> None:
        if self._verbose:
            click.echo(text, err=True)

"""A run of hyperseg-build-engine: finds the model, builds, and reports."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.common import interrupt_on_signals, say
from hyperseg_runtime.discovery import PACKAGED_MODELS, locate
from hyperseg_runtime.errors import ModelError

from hyperseg_export.cli.stage_display import StageDisplay
from hyperseg_export.engine.build import build_engine, default_output
from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.engine.report import EngineReport
from hyperseg_export.hosts.selection import HostFolders
from hyperseg_export.passes.float16 import Conversion
from hyperseg_export.progress import Step

NAME = "hyperseg-build-engine"


@dataclass(frozen=True)
class BuildEngineSession:
    """One run of the command."""

    options: EngineOptions
    folders: HostFolders
    as_json: bool
    verbose: bool
    list_kept: bool

    def run(self, model: Path | None, output: Path | None) -> int:
        source = self._locate(model)
        if output is None and source.parent == PACKAGED_MODELS:
            output = Path(default_output(source, self.options.half).name)
        interrupt_on_signals()
        with StageDisplay("starting") as display:
            progress = BuildProgress(display, self.verbose)
            hosts = self.folders.plan(source, output or default_output(source, self.options.half), self.options)
            report = build_engine(source, output, self.folders.options(self.options), progress)
            written = hosts.write(report, progress)
        if self.as_json:
            folders = {files.host.lower(): str(files.folder) for files in written}
            say(json.dumps({**report.to_dict(), **folders}, indent=1))
        else:
            self._print(report)
            for files in written:
                names = (str(path.relative_to(files.folder)) for path in (files.config, files.labels, files.plan))
                say(f"{files.folder}: for {files.host} ({', '.join(names)})")
        return 0

    def _locate(self, model: Path | None) -> Path:
        found = locate(model, backend=BackendName.ONNXRUNTIME.value, portable=False)
        if found.path.is_dir():
            raise ModelError(f"{found.path} is a folder, not a model; name an ONNX file (--model FILE)")
        common.announce(NAME, found, self.as_json or model is not None, "Model:")
        return found.path

    def _print(self, report: EngineReport) -> None:
        facts, audit = report.facts, report.audit
        targets = ", ".join(facts.compute_capabilities)
        size = f"{report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s"
        say(f"{report.engine}: {size}, described by {report.sidecar.name}")
        say(f"Built by {facts.flavour.label} {facts.version} for compute capability {targets}")
        share = f"{audit.half_share:.0%} in half precision"
        say(f"Audit by {report.audited_by}: {audit.layers} layers, {share}, {audit.plugin_layers} plugins")
        say(f"{audit.reformats} copy layers, {audit.plugin_reformats or 'none'} of them next to a plugin")
        if not facts.low_logits:
            why = "the graph has no bilinear end" if self.folders.triton is None else "Triton's clients expect no other"
            say(f"The file's outputs alone, since {why}: frames' labels are enlarged by nearest neighbour")
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
    """Shows the stages of a build, TensorRT's own phases within its stage, and with `verbose` its messages."""

    def __init__(self, display: StageDisplay, verbose: bool) -> None:
        self._display = display
        self._verbose = verbose
        self._step = Step(0, 0, "")

    def step(self, step: Step) -> None:
        self._step = step
        self._display.show(step)

    def progress(self, phase: str, share: float) -> None:
        self._display.show(replace(self._step, share=share, detail=phase))

    def message(self, text: str) -> None:
        if self._verbose:
            self._display.note(text)

    def note(self, text: str) -> None:
        self._display.note(f"{NAME}: note: {text}")

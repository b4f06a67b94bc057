"""A run of hyperseg-export: finds the checkpoint, exports, and reports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime.cli.common import interrupt_on_signals, say
from hyperseg_runtime.errors import ModelError, OutputError
from hyperseg_runtime.folder_models import check_reachable, files_of, name_of
from hyperseg_runtime.model_kinds import SUFFIXES, Kind, kind_of, without_suffix
from hyperseg_runtime.output_files import check_target

from hyperseg.checkpoint.kinds import is_safetensors, reason_before_reading, reason_of_folder
from hyperseg_export.cli.stage_display import StageDisplay
from hyperseg_export.errors import OptionError
from hyperseg_export.options import ExportOptions
from hyperseg_export.report import ExportReport


@dataclass(frozen=True)
class ExportSession:
    """One run of the command."""

    options: ExportOptions
    as_json: bool = False
    state: str | None = None

    def run(self, checkpoint: Path | None, preset: str | None, output: Path | None) -> None:
        """Exports a checkpoint, or a preset with random weights, and reports."""
        source: Path | None = None
        if preset is None:
            source = checkpoint or self._found()
            check_reachable(source)
            _require_checkpoint(source)
        target = output or (Path(f"{preset}.onnx") if source is None else default_output(source))
        if kind_of(target) is Kind.CHECKPOINT:
            raise OutputError(f"{target} has the name of a checkpoint; name an ONNX file, or --ckpt {target}")
        if source is not None and target.exists() and source.samefile(target):
            raise OutputError(f"{target} is the checkpoint itself; name another file (--onnx FILE)")
        check_target(target, self.options.force)
        interrupt_on_signals()
        notes: list[str] = []
        with StageDisplay("loading PyTorch") as display:

            def note(text: str) -> None:
                notes.append(text)
                display.note(text if source is None else f"{source}: {text}")

            from hyperseg_export.onnx_export import export_onnx

            network: Any = source if source is not None else _random(str(preset))
            report = export_onnx(network, target, self.options, display.show, state=self.state, note=note)
        self._show(report, notes)

    def _found(self) -> Path:
        place = Path()
        found = [path for path in files_of(place) if kind_of(path) is Kind.CHECKPOINT and not path.is_dir()]
        if not found:
            raise ModelError(
                f"there is no checkpoint ({', '.join(SUFFIXES[Kind.CHECKPOINT])}) in {name_of(place)}; use --ckpt"
            )
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ModelError(f"several checkpoints in {name_of(place)}: {names}; choose one with --ckpt FILE")
        self._say(f"{found[0]}: the only checkpoint in {name_of(place)}")
        return found[0]

    def _say(self, text: str) -> None:
        if not self.as_json:
            say(text)

    def _show(self, report: ExportReport, notes: list[str]) -> None:
        if self.as_json:
            say(json.dumps({**report.to_dict(), "notes": notes}))
            return
        ours = f"{report.own_nodes} of them ours" if report.own_nodes else "all standard"
        say(
            f"{report.path}: {report.precision.value} for {report.target.value}, {report.file_bytes / 1e6:.1f} MB, "
            f"{report.nodes} operators ({ours}), {report.seconds:.1f} s"
        )
        measured = report.verification
        if measured is None:
            say("not compared with PyTorch")
            return
        # Eight bits: no bound is derived, what they cost is reported.
        allowed = "" if measured.rounding is None else f" (allowed: {measured.rounding:.2g})"
        ties = f", {measured.label_ties:.4%} of them ties within rounding" if measured.label_ties else ""
        say(
            f"agreement with PyTorch on {measured.inputs} images: largest logit error {measured.max_abs_error:.2g}"
            f"{allowed}, mean {measured.mean_abs_error:.2g}; labels equal on {measured.label_agreement:.4%} of the "
            f"pixels{ties}"
        )
        if report.not_run is not None:
            say(f"compared on the CPU; {report.not_run}")


def _require_checkpoint(source: Path) -> None:
    """Raises ModelError for what is no checkpoint at first sight, before PyTorch is loaded."""
    if source.is_dir():
        raise ModelError(f"{source} {reason_of_folder(source)} (--ckpt FILE)")
    if not source.exists():
        raise ModelError(f"{source} does not exist; name a checkpoint (--ckpt FILE)")
    try:
        reason = None if not source.is_file() or is_safetensors(source) else reason_before_reading(source)
    except OSError as error:
        raise ModelError(f"{source} cannot be read: {error.strerror or error}") from error
    if reason is not None:
        raise ModelError(f"{source} {reason}")


def default_output(checkpoint: Path) -> Path:
    """The default ONNX file of a checkpoint, in its folder: m.onnx of m.pt and of m.pth.tar."""
    if kind_of(checkpoint) is Kind.CHECKPOINT:
        return checkpoint.with_name(f"{without_suffix(checkpoint)}.onnx")
    return checkpoint.with_suffix(".onnx")


def _random(preset: str) -> Any:
    from hyperseg_export.samples import random_network

    try:
        return random_network(preset)
    except ValueError as error:
        raise OptionError(str(error)) from error

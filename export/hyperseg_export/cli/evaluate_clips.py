"""A run of hyperseg-evaluate on labelled clips: mean IoU and flicker of each model, with and without averaging."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from hyperseg_runtime.cli import common
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.model_kinds import Kind, kind_of
from hyperseg_runtime.names import as_unicode
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.stabiliser import check_can_stabilise
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hyperseg_export.cli.stage_display import StageDisplay
from hyperseg_export.evaluation.clip import ClipScores, LabelledClip, score_clip
from hyperseg_export.evaluation.flicker import WINDOWS
from hyperseg_export.progress import Stages

_NAME = "hyperseg-evaluate"


@dataclass(frozen=True)
class ClipSession:
    """One call of the command with --clip."""

    clips: Sequence[tuple[Path, Path]]
    """Each clip and the folder of its labels."""
    rate: Fraction
    stabilise: float | None
    """Time constant in seconds, if given."""
    backend: str
    threads: int | None
    size: Size | None
    fit: Fit
    allow_host_code: bool
    as_json: bool

    def run(self, models: Sequence[Path]) -> int:
        common.interrupt_on_signals()
        clips = [LabelledClip.find(clip, labels, self.rate) for clip, labels in self.clips]
        wanted: Sequence[Path | None] = models or [None]
        located = [self._located(model) for model in wanted]
        done: list[tuple[LabelledClip, Path, ClipScores]] = []
        first: tuple[str, ...] | None = None  # of the first model, whose classes are those of labels without others
        try:
            with StageDisplay("opening the model") as display:
                stages = Stages(len(located) * len(clips), display.show)
                for model in located:
                    with self._open(model, display) as segmenter:
                        first = first or segmenter.classes
                        for clip in clips:
                            names = first if clip.description is None else clip.description.classes.names
                            stages.begin(f"scoring {model.name} on {clip.clip.name}")
                            scores = score_clip(segmenter, clip, self.stabilise, names, display.note, stages.images)
                            done.extend((clip, model, score) for score in scores)
        finally:
            if done:  # also where a later clip fails, and after Ctrl-C
                self._tell(done)
        return 0

    def _located(self, model: Path | None) -> Path:
        found = locate(model, backend=self.backend, takes_checkpoints=True)
        common.announce(_NAME, found, self.as_json or model is not None, "model:")
        if kind_of(found.path) is Kind.CHECKPOINT:
            raise ModelError(
                f"{found.path} is a checkpoint, and clips run as in hyperseg-run; export it first "
                f"(hyperseg-export --ckpt {found.path} --onnx)"
            )
        return found.path

    def _open(self, model: Path, display: StageDisplay) -> Segmenter:
        segmenter = Segmenter(
            model,
            backend=self.backend,
            threads=self.threads,
            resolution=self.size,
            fit=self.fit,
            allow_host_code=self.allow_host_code,
            note=display.note,
        )
        if self.stabilise is not None:
            try:
                check_can_stabilise(segmenter)
            except ModelError:
                segmenter.close()
                raise
        return segmenter

    def _tell(self, done: Sequence[tuple[LabelledClip, Path, ClipScores]]) -> None:
        if self.as_json:
            common.say(json.dumps({"clips": [_record(*one) for one in done]}))
            return
        table = Table("clip", "model", "stabilised", "mIoU %", "flicker %", *(f"VC{window} %" for window in WINDOWS))
        for clip, model, scores in done:
            found = [scores.confusion.mean_iou, scores.consistency.flicker]
            found += [scores.consistency.consistency(window) for window in WINDOWS]
            seconds = "-" if scores.stabilised is None else f"{scores.stabilised:g} s"
            cells = ["-" if share is None else f"{100 * share:.2f}" for share in found]
            table.add_row(escape(as_unicode(clip.clip.name)), escape(as_unicode(model.name)), seconds, *cells)
        Console(width=None if sys.stdout.isatty() else 120).print(table)


def _record(clip: LabelledClip, model: Path, scores: ClipScores) -> dict[str, Any]:
    about = {"clip": as_unicode(clip.clip), "model": as_unicode(model), "frames": len(clip)}
    return {**about, **scores.to_dict()}

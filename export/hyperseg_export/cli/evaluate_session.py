"""A run of hyperseg-evaluate: scores the models and reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from hyperseg_runtime.cli import common
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import InputError, ModelError, OutputError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.output_files import write_bytes
from hyperseg_runtime.planned_outputs import PlannedOutputs
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hyperseg.data import DataError, Dataset, Layout, files_of, find_own, open_splits
from hyperseg.data.reading import Pixels
from hyperseg.errors import CheckpointError
from hyperseg_export.cli.stage_display import StageDisplay
from hyperseg_export.evaluation.class_order import in_order
from hyperseg_export.evaluation.plots import confusion_image, worst_sheet
from hyperseg_export.evaluation.predictors import Predictor, open_predictor
from hyperseg_export.evaluation.scores import Evaluation
from hyperseg_export.evaluation.scores import evaluate as score
from hyperseg_export.progress import Stages

_WORST = 8


@dataclass(frozen=True)
class EvaluateSession:
    """One call of the command."""

    data: Path
    layout: str | None
    split: str
    backend: str
    threads: int | None
    size: tuple[int, int] | None
    fit: Fit
    allow_host_code: bool
    force: bool
    as_json: bool

    def run(self, models: Sequence[Path], confusion: Path | None, worst: Path | None) -> int:
        common.interrupt_on_signals()
        outputs = PlannedOutputs(self.force)
        for target, role in ((confusion, "the confusion matrix"), (worst, "the worst images")):
            if target is not None:
                if target.suffix.lower() != ".png":
                    raise OutputError(f"{target} ({role}) is written as PNG; name a .png file")
                outputs.add(target, role)
        data = self._open_data()
        for file in files_of(data):
            outputs.keep(file, "a file of the dataset")
        wanted: Sequence[Path | None] = models or [None]
        located = [self._located(model) for model in wanted]
        for model in located:
            outputs.keep(model, "a model")
        evaluations: list[Evaluation] = []
        try:
            with StageDisplay("opening the model") as display:
                stages = Stages(len(located), display.show)
                for index, model in enumerate(located):
                    stages.begin(f"scoring {model.name}")
                    predictor = self._open_model(model, display)
                    try:
                        predictor = in_order(model, predictor, data.classes.names, self._labels(), display.note)
                        evaluations.append(self._score(model, predictor, data, stages))
                        if index == 0:
                            _draw(confusion, worst, evaluations[0], data, predictor)
                    finally:
                        predictor.close()
        finally:
            if evaluations:  # also where a later model fails, and after Ctrl-C: a score may have taken hours
                self._tell(evaluations)
        return 0

    def _open_data(self) -> Dataset:
        try:
            return open_splits(Layout(self.layout or Layout.CAMVID), self.data, self.split.split("+"))
        except DataError as error:
            raise InputError(str(error)) from error

    def _labels(self) -> str:
        """Whose labels they are."""
        return str(self.data) if find_own(self.data) is not None else f"layout {self.layout or Layout.CAMVID.value}"

    def _located(self, model: Path | None) -> Path:
        found = locate(model, backend=self.backend, takes_checkpoints=True)
        common.announce("hyperseg-evaluate", found, self.as_json or model is not None, "model:")
        return found.path

    def _open_model(self, model: Path, display: StageDisplay) -> Predictor:
        if not model.is_file():
            problem = "is not a file" if model.exists() else "does not exist"
            raise ModelError(f"{model} {problem}; name a checkpoint, an ONNX file or an engine (--model FILE)")
        try:
            return open_predictor(
                model,
                self.backend,
                self.threads,
                self.size,
                lambda text: display.note(text if text.startswith(str(model)) else f"{model}: {text}"),
                fit=self.fit,
                allow_host_code=self.allow_host_code,
            )
        except CheckpointError as error:
            raise ModelError(str(error)) from error

    def _score(self, model: Path, predictor: Predictor, data: Dataset, stages: Stages) -> Evaluation:
        try:
            return score(model, predictor, data, stages.images)
        except DataError as error:
            raise InputError(str(error)) from error

    def _tell(self, evaluations: Sequence[Evaluation]) -> None:
        if self.as_json:
            common.say(json.dumps({"split": self.split, "models": [done.to_dict() for done in evaluations]}))
            return
        table = Table("", *(escape(done.model.name) for done in evaluations))
        for name, cells in _rows(evaluations):
            table.add_row(Text(name), *cells)
        Console(width=None if sys.stdout.isatty() else 30 + 24 * len(evaluations)).print(table)


def _rows(evaluations: Sequence[Evaluation]) -> list[tuple[str, list[str]]]:
    def row(name: str, values: Sequence[float | None], scale: float = 100, digits: int = 2) -> tuple[str, list[str]]:
        return name, ["-" if v is None or np.isnan(v) else f"{v * scale:,.{digits}f}" for v in values]

    rows = [
        row("mIoU %", [done.confusion.mean_iou for done in evaluations]),
        row("pixel accuracy %", [done.confusion.pixel_accuracy for done in evaluations]),
    ]
    for index, name in enumerate(evaluations[0].class_names):
        rows.append(row(f"  {name}", [float(done.confusion.iou[index]) for done in evaluations]))
    rows.append(row("parameters M", [done.facts.parameters for done in evaluations], 1e-6))
    rows.append(row("MMAC", [done.facts.macs for done in evaluations], 1e-6, 0))
    rows.append(("input", [f"{done.facts.size[0]}x{done.facts.size[1]}" for done in evaluations]))
    rows.append(("precision", [done.facts.precision for done in evaluations]))
    rows.append(row("images", [len(done.image_scores) for done in evaluations], 1, 0))
    return rows


def _draw(confusion: Path | None, worst: Path | None, done: Evaluation, data: Dataset, predictor: Predictor) -> None:
    if confusion is not None:
        _write(confusion, confusion_image(done.confusion, done.class_names))
    if worst is not None:
        _write(worst, worst_sheet(data, predictor, done.worst[:_WORST], done.image_scores))


def _write(path: Path, image: Pixels) -> None:
    encoded, data = cv2.imencode(".png", image)
    if not encoded:
        raise OutputError(f"{path} could not be encoded as PNG")
    write_bytes(path, np.asarray(data, np.uint8).tobytes())

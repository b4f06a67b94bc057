"""Reports of a training run: a log of JSON lines, TensorBoard events, and images of predictions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hyperseg.data import Classes, Pixels
from hyperseg.output_files import atomic_output
from hyperseg.training.validation import Prediction

Listener = Callable[[Mapping[str, Any]], None]


class Report:
    """Writer of a run's reports into `folder`.

    `listener` receives every record as well, with the number of `iterations` of the run (for the progress bar).
    """

    def __init__(self, folder: Path, iteration: int, iterations: int, listener: Listener | None = None) -> None:
        self._iterations = iterations
        self._log = folder / "log.jsonl"
        self._folder = folder
        self._listener = listener
        self._tensorboard = _open_tensorboard(folder / "tensorboard", iteration)
        self._discard_after(iteration)

    def record(self, iteration: int, **values: float) -> None:
        """Log values of one iteration."""
        entry = {"iteration": iteration, "time": round(time.time(), 1), **values}
        self._write(entry)
        if self._tensorboard is not None:
            for name, value in values.items():
                self._tensorboard.add_scalar(name.replace("iou_", "iou/"), value, iteration)
        if self._listener is not None:
            self._listener({**entry, "iterations": self._iterations})

    def note(self, iteration: int, text: str) -> None:
        """Log a sentence, such as what a run started from."""
        self._write({"iteration": iteration, "time": round(time.time(), 1), "note": text})

    def add_predictions(self, iteration: int, predictions: Sequence[Prediction], classes: Classes) -> None:
        """Write an image with one row per sample: its image, label and prediction."""
        rows = [_row(prediction, classes) for prediction in predictions]
        width = max(row.shape[1] for row in rows)  # images may have different sizes
        sheet = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
        with atomic_output(self._folder / f"predictions-{iteration:06d}.png") as draft:
            cv2.imwrite(str(draft), sheet[..., ::-1])
        if self._tensorboard is not None:
            self._tensorboard.add_image("predictions", sheet, iteration, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the TensorBoard writer."""
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def _discard_after(self, iteration: int) -> None:
        """Discard log records of iterations that a resumed run repeats."""
        if self._log.exists():
            lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
            with atomic_output(self._log) as draft:
                draft.write_text("".join(line for line in lines if _iteration(line) <= iteration), encoding="utf-8")


def _iteration(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _open_tensorboard(folder: Path, iteration: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=iteration + 1, flush_secs=30)


def _row(prediction: Prediction, classes: Classes) -> Pixels:
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(classes)] = classes.palette
    sample = prediction.sample
    row = np.concatenate([sample.image, palette[sample.label], palette[prediction.labels]], axis=1)
    scale = min(1.0, 1440 / row.shape[1])
    size = (max(1, round(row.shape[1] * scale)), max(1, round(row.shape[0] * scale)))
    return np.asarray(cv2.resize(row, size, interpolation=cv2.INTER_AREA), np.uint8)

"""What a run leaves for people: a log as JSON lines, TensorBoard events, and pictures of predictions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hyperseg.data import Classes
from hyperseg.data.sample import Pixels
from hyperseg.training.validate import Prediction

Listener = Callable[[Mapping[str, Any]], None]


class Report:
    """Writes to `folder`; `listener` is told every record as well (the progress bar)."""

    def __init__(self, folder: Path, iteration: int, listener: Listener | None = None) -> None:
        self._log = folder / "log.jsonl"
        self._folder = folder
        self._listener = listener
        self._board = _open_board(folder / "tensorboard", iteration)
        self._keep_until(iteration)

    def record(self, iteration: int, **values: float) -> None:
        """Numbers of one iteration."""
        entry = {"iteration": iteration, "time": round(time.time(), 1), **values}
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name.replace("iou_", "iou/"), value, iteration)
        if self._listener is not None:
            self._listener(entry)

    def picture(self, iteration: int, shown: Sequence[Prediction], classes: Classes) -> None:
        """A sheet of picture, label and prediction, one row a sample."""
        sheet = np.concatenate([_row(prediction, classes) for prediction in shown])
        cv2.imwrite(str(self._folder / f"predictions-{iteration:06d}.png"), sheet[..., ::-1])
        if self._board is not None:
            self._board.add_image("predictions", sheet, iteration, dataformats="HWC")

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def _keep_until(self, iteration: int) -> None:
        """Drop the records of iterations that a resumed run does again."""
        if self._log.exists():
            lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
            self._log.write_text("".join(line for line in lines if _iteration(line) <= iteration), encoding="utf-8")


def _iteration(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _open_board(folder: Path, iteration: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=iteration + 1, flush_secs=30)


def _row(prediction: Prediction, classes: Classes) -> Pixels:
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(classes)] = classes.colours
    sample = prediction.sample
    row = np.concatenate([sample.image, palette[sample.label], palette[prediction.labels]], axis=1)
    scale = min(1.0, 1440 / row.shape[1])
    size = (round(row.shape[1] * scale), round(row.shape[0] * scale))
    return np.asarray(cv2.resize(row, size, interpolation=cv2.INTER_AREA), np.uint8)

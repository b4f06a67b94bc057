"""Scores a predictor on a split with one confusion matrix."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.data import Dataset
from hyperseg.metrics import Confusion
from hyperseg_export.evaluation.predictors import Facts, Predictor
from hyperseg_export.progress import Part


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model on one split, at the size of the labels, void ignored, single scale, no mirroring."""

    model: Path
    facts: Facts
    class_names: tuple[str, ...]
    confusion: Confusion
    image_scores: tuple[float, ...]
    """Mean IoU of each single image."""
    seconds: float

    @property
    def worst(self) -> list[int]:
        """Indices of the images, lowest score first."""
        return [int(index) for index in np.argsort(np.nan_to_num(np.array(self.image_scores), nan=1.0), kind="stable")]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        iou = self.confusion.iou
        return {
            "model": str(self.model),
            "runner": self.facts.runner,
            "precision": self.facts.precision,
            "height": self.facts.size[0],
            "width": self.facts.size[1],
            "pictures": len(self.image_scores),
            "mean_iou": self.confusion.mean_iou,
            "pixel_accuracy": self.confusion.pixel_accuracy,
            "iou": {n: None if np.isnan(v) else float(v) for n, v in zip(self.class_names, iou, strict=True)},
            "parameters": self.facts.parameters,
            "macs": self.facts.macs,
            "seconds": self.seconds,
            "confusion": self.confusion.counts.tolist(),
        }


def evaluate(model: Path, predictor: Predictor, data: Dataset, progress: Part | None = None) -> Evaluation:
    """Scores a predictor on every image of a dataset; `progress` receives each image.

    Raises:
        DataError: an image or label cannot be used; the message names the file.
    """
    confusion, alone = Confusion(len(data.classes)), []
    started = time.monotonic()
    for index in range(len(data)):
        if progress is not None:
            progress(index + 1, len(data))
        sample = data[index]
        single = Confusion(len(data.classes))
        single.add(sample.label, predictor(np.ascontiguousarray(sample.image[..., ::-1])))
        confusion.merge(single)
        alone.append(single.mean_iou)
    elapsed = time.monotonic() - started
    return Evaluation(model, predictor.facts, data.classes.names, confusion, tuple(alone), elapsed)

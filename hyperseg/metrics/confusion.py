"""Scores from one confusion matrix over a whole split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Labels = NDArray[np.integer]


@dataclass
class Confusion:
    """`counts[truth, prediction]` over `num_classes` classes; pixels whose truth is no class are not counted."""

    num_classes: int
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.num_classes, self.num_classes), np.int64)

    def add(self, truth: Labels, prediction: Labels) -> None:
        """Count a picture. Both label arrays have the same shape; predictions outside the classes are an error."""
        if truth.shape != prediction.shape:
            raise ValueError(
                f"the prediction is {prediction.shape}, the label {truth.shape}; they must be of one shape"
            )
        scored = truth < self.num_classes
        predicted = prediction[scored].astype(np.int64)
        if predicted.size and (predicted.min() < 0 or predicted.max() >= self.num_classes):
            raise ValueError(f"the prediction has the label {int(predicted.max())} of {self.num_classes} classes")
        pairs = truth[scored].astype(np.int64) * self.num_classes + predicted
        self.counts += np.bincount(pairs, minlength=self.num_classes**2).reshape(self.counts.shape)

    def merge(self, other: Confusion) -> None:
        """Add the counts of another part of the split."""
        self.counts += other.counts

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class; NaN where a class neither occurs nor is predicted."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        iou: NDArray[np.float64] = np.divide(hits, union, out=np.full(self.num_classes, np.nan), where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur or are predicted; NaN if nothing was counted."""
        iou = self.iou
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

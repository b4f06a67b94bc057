"""Segmentation metrics from a confusion matrix over a whole split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Labels = NDArray[np.integer]


@dataclass
class Confusion:
    """Confusion matrix `counts[truth, prediction]`; pixels whose truth is not one of the `num_classes` are ignored.

    The last of the num_classes + 1 columns counts predictions outside the classes (void, if a network has it): misses.
    """

    num_classes: int
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.num_classes, self.num_classes + 1), np.int64)

    def add(self, truth: Labels, prediction: Labels) -> None:
        """Count an image. Both label arrays have the same shape."""
        if truth.shape != prediction.shape:
            raise ValueError(
                f"the prediction is {prediction.shape}, the label {truth.shape}; they must be of one shape"
            )
        scored = truth < self.num_classes
        predicted = np.minimum(prediction[scored].astype(np.int64), self.num_classes)
        pairs = truth[scored].astype(np.int64) * (self.num_classes + 1) + predicted
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    def merge(self, other: Confusion) -> None:
        """Add the counts of another part of the split."""
        self.counts += other.counts

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class; NaN where a class neither occurs nor is predicted."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts[:, :-1].sum(0) + self.counts.sum(1) - hits
        iou: NDArray[np.float64] = np.divide(hits, union, out=np.full(self.num_classes, np.nan), where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur or are predicted; NaN if nothing was counted."""
        iou = self.iou
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of the counted pixels that are right; NaN if nothing was counted."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

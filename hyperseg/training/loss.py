"""The loss: cross-entropy, weighted by class and bootstrapped (HyperSeg, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hyperseg.data import VOID, DataSet


def bootstrapped(losses: Tensor, valid: Tensor, threshold: float, minimum: int) -> Tensor:
    """Mean over images of the mean of each one's pixel losses above `threshold`, or of its `minimum` largest if more.

    `losses` float [N, H, W], `valid` bool [N, H, W]; an image without a valid pixel counts as 0.
    """
    means = []
    for image, mask in zip(losses.flatten(1), valid.flatten(1), strict=True):
        values = image[mask]
        hard = values[values > threshold]
        if len(hard) < minimum < len(values):
            hard = values.topk(minimum).values
        elif len(hard) < minimum:
            hard = values
        means.append(hard.mean() if len(hard) else image.sum() * 0)
    return torch.stack(means).mean()


def soft_jaccard(probabilities: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """One minus the mean, over the classes present in the batch, of the soft intersection over union.

    `probabilities` [N, C, H, W], `labels` int64 [N, H, W], `valid` bool [N, H, W]. With one-hot labels this is the
    Jaccard metric loss, whose minimum is where mIoU is greatest.
    """
    shown = probabilities * valid.unsqueeze(1)
    truth = functional.one_hot(labels.masked_fill(~valid, 0), shown.shape[1]).permute(0, 3, 1, 2) * valid.unsqueeze(1)
    intersection = (shown * truth).sum((0, 2, 3))
    union = (shown + truth).sum((0, 2, 3)) - intersection
    present = truth.sum((0, 2, 3)) > 0
    return 1 - (intersection[present] / union[present]).mean() if present.any() else probabilities.sum() * 0


def class_weights(data: DataSet, exponent: float) -> tuple[float, ...]:
    """(median frequency / frequency) ** exponent per class, scaled so that the mean over labelled pixels is 1."""
    counts = torch.zeros(256, dtype=torch.float64)
    for index in range(len(data)):
        counts += torch.from_numpy(data[index].label).flatten().bincount(minlength=256)
    frequency = counts[: len(data.classes)]
    seen = frequency > 0
    weights = torch.ones_like(frequency)
    weights[seen] = (frequency[seen].median() / frequency[seen]) ** exponent
    weights /= (weights * frequency).sum() / frequency.sum()
    return tuple(float(weight) for weight in weights)


class SegmentationLoss(torch.nn.Module):
    """Logits [N, C, h, w] at any size against uint8 labels [N, H, W]; the logits are upsampled bilinearly first."""

    weights: Tensor | None

    def __init__(
        self, weights: Sequence[float] | None, threshold: float = 0.3, minimum: int = 4096, jaccard: float = 0.0
    ) -> None:
        super().__init__()
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)
        self.threshold = threshold
        self.minimum = minimum
        self.jaccard = jaccard

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits, labels = logits.float(), labels.long()
        full = logits
        if logits.shape[-2:] != labels.shape[-2:]:
            full = functional.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
        valid = labels != VOID
        losses = functional.cross_entropy(full, labels, weight=self.weights, ignore_index=VOID, reduction="none")
        loss = bootstrapped(losses, valid, self.threshold, self.minimum)
        if self.jaccard:
            stride = labels.shape[-1] // logits.shape[-1]
            few = labels[:, ::stride, ::stride]
            loss = loss + self.jaccard * soft_jaccard(full[..., ::stride, ::stride].softmax(1), few, few != VOID)
        return loss

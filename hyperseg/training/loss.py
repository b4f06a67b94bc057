"""Training loss: class-weighted, bootstrapped cross-entropy (paper, Sec. 4.1), and the module that computes it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.data import VOID, DataError, Dataset, label_files
from hyperseg.training.recipe import Precision


def bootstrapped(losses: Tensor, valid: Tensor, threshold: float, minimum: int) -> Tensor:
    """Mean over images of the mean pixel loss above `threshold`, or of the `minimum` largest losses if those are more.

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
    """Soft Jaccard loss: one minus the mean soft IoU over the classes present in the batch.

    `probabilities` [N, C, H, W], `labels` int64 [N, H, W], `valid` bool [N, H, W]. With one-hot labels this is the
    Jaccard metric loss, whose minimum is where mIoU is greatest.
    """
    shown = probabilities * valid.unsqueeze(1)
    truth = functional.one_hot(labels.masked_fill(~valid, 0), shown.shape[1]).permute(0, 3, 1, 2) * valid.unsqueeze(1)
    intersection = (shown * truth).sum((0, 2, 3))
    union = (shown + truth).sum((0, 2, 3)) - intersection
    present = truth.sum((0, 2, 3)) > 0
    return 1 - (intersection[present] / union[present]).mean() if present.any() else probabilities.sum() * 0


def class_weights(dataset: Dataset, exponent: float, workers: int = 2) -> tuple[float, ...]:
    """Compute (median frequency / frequency) ** exponent per class, with a mean of 1 over labelled pixels.

    A class that does not occur gets the largest weight of those that do: it may occur in splits that are added later.
    Labels are read by `workers` threads, images are not.

    Raises:
        DataError: no label has a labelled pixel, or one cannot be read.
    """
    counts = np.zeros(256, np.int64)
    with ThreadPoolExecutor(workers, thread_name_prefix="labels") as pool:
        for part in pool.map(lambda read: np.bincount(read().ravel(), minlength=256), label_files(dataset)):
            counts += part
    frequency = counts[: len(dataset.classes)].astype(np.float64)
    seen = frequency > 0
    if not seen.any():
        raise DataError("every pixel of the training labels is void; hyperseg-train --check shows what they have")
    weights = np.full_like(frequency, -np.inf)
    weights[seen] = (_median(frequency[seen]) / frequency[seen]) ** exponent
    weights[~seen] = weights.max()
    weights /= (weights * frequency).sum() / frequency.sum()
    return tuple(float(weight) for weight in weights)


def _median(values: NDArray[np.float64]) -> float:
    """The middle value; of an even number the lower one, as `torch.median` has it."""
    return float(np.sort(values)[(len(values) - 1) // 2])


class SegmentationLoss(nn.Module):
    """Loss of logits [N, C, h, w] against uint8 labels [N, H, W]; the logits are upsampled bilinearly first."""

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


class ForwardLoss(nn.Module):
    """Network and loss as one module, which `DistributedDataParallel` can wrap: uint8 images and labels -> loss."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        loss: SegmentationLoss,
        mean: Sequence[float],
        std: Sequence[float],
        compute: torch.dtype,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.compute = compute
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        """Map uint8 images [N, H, W, 3] RGB to float logits [N, C, H/s, W/s], s the network's output stride."""
        with torch.autocast(images.device.type, self.compute, enabled=self.compute != torch.float32):
            normalised = (images.permute(0, 3, 1, 2) - self.mean) / self.std
            low = self.network.forward_low(normalised)  # type: ignore[operator]
        assert isinstance(low, Tensor)
        return low

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of uint8 images [N, H, W, 3] with uint8 labels [N, H, W]."""
        loss = self.loss(self.logits(images), labels)
        assert isinstance(loss, Tensor)
        return loss


def compute_type(precision: Precision, device: torch.device) -> torch.dtype:
    """Select the compute type of a precision on a device."""
    if precision is Precision.AUTO:
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        fast = torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return {
        Precision.FLOAT32: torch.float32,
        Precision.BFLOAT16: torch.bfloat16,
        Precision.FLOAT16: torch.float16,
    }[precision]

"""Validation during training: predictions and scores as in `hyperseg-evaluate`, one image at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional

from hyperseg.data import Dataset, Pixels, Sample
from hyperseg.metrics import Confusion
from hyperseg.training.distributed import DistributedContext
from hyperseg.training.loss import ForwardLoss


@dataclass(frozen=True)
class Prediction:
    """A sample with its predicted labels, at the size of its label."""

    sample: Sample
    labels: Pixels


@torch.no_grad()
def predictions(
    forward_loss: ForwardLoss, dataset: Dataset, size: tuple[int, int], context: DistributedContext
) -> Iterator[Prediction]:
    """Predict this process's share of the samples at `size` (height, width).

    The network's low-resolution logits are enlarged bilinearly straight to the label's size, as in the runtime.
    """
    forward_loss.eval()
    for index in range(context.rank, len(dataset), context.world_size):
        sample = dataset[index]
        shrinks = sample.image.shape[0] >= size[0] and sample.image.shape[1] >= size[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(sample.image, (size[1], size[0]), interpolation=interpolation)
        logits = forward_loss.logits(torch.from_numpy(np.ascontiguousarray(image))[None].to(context.device)).float()
        full = functional.interpolate(logits, size=sample.label.shape, mode="bilinear", align_corners=False)
        yield Prediction(sample, full.argmax(1)[0].to(torch.uint8).cpu().numpy())


def score(forward_loss: ForwardLoss, dataset: Dataset, size: tuple[int, int], context: DistributedContext) -> Confusion:
    """Compute the confusion matrix over the whole split and all processes."""
    confusion = Confusion(len(dataset.classes))
    for prediction in predictions(forward_loss, dataset, size, context):
        confusion.add(prediction.sample.label, prediction.labels)
    counts = context.all_reduce(torch.from_numpy(confusion.counts).to(context.device))
    confusion.counts = counts.cpu().numpy()
    return confusion

"""Scoring a network on a split while it trains: as `hyperseg-evaluate` does it, one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional

from hyperseg.data import DataSet, Sample
from hyperseg.data.sample import Pixels
from hyperseg.metrics import Confusion
from hyperseg.training.distributed import DistributedContext
from hyperseg.training.step import ForwardLoss


@dataclass(frozen=True)
class Prediction:
    """A sample with the labels that the network gives it, at the label's own size."""

    sample: Sample
    labels: Pixels


@torch.no_grad()
def predictions(
    step: ForwardLoss, data: DataSet, size: tuple[int, int], team: DistributedContext
) -> Iterator[Prediction]:
    """Predict every sample of this process's share at `size` (height, width)."""
    step.eval()
    for index in range(team.rank, len(data), team.world):
        sample = data[index]
        shrinks = sample.image.shape[0] >= size[0] and sample.image.shape[1] >= size[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(sample.image, (size[1], size[0]), interpolation=interpolation)
        logits = step.logits(torch.from_numpy(np.ascontiguousarray(image))[None].to(team.device)).float()
        full = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        labels = full.argmax(1)[0].to(torch.uint8).cpu().numpy()
        height, width = sample.label.shape
        resized = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        yield Prediction(sample, np.asarray(resized, np.uint8))


def score(step: ForwardLoss, data: DataSet, size: tuple[int, int], team: DistributedContext) -> Confusion:
    """One confusion matrix over the whole split and all processes."""
    confusion = Confusion(len(data.classes))
    for prediction in predictions(step, data, size, team):
        confusion.add(prediction.sample.label, prediction.labels)
    counts = team.total(torch.from_numpy(confusion.counts).to(team.device))
    confusion.counts = counts.cpu().numpy()
    return confusion

"""What is measured before the first iteration: statistics of folded BatchNorms, memory, and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from torch import Tensor

from hyperseg.checkpoint.states import Note
from hyperseg.data import Dataset
from hyperseg.training.calibration import calibrate
from hyperseg.training.distributed import DistributedContext
from hyperseg.training.errors import TrainingError
from hyperseg.training.fit import typical
from hyperseg.training.loss import ForwardLoss, SegmentationLoss
from hyperseg.training.memory import available_bytes, fitting_parts, is_out_of_memory, measure_step
from hyperseg.training.recipe import Recipe
from hyperseg.training.splits import TrainingData
from hyperseg.training.start import Start
from hyperseg.training.trainer import Trainer
from hyperseg.training.validation import predictions

_CALIBRATED_ON = 16
"""Images; every one gives thousands of values per channel."""

_FEWEST_ITERATIONS = 20
_SLACK = 1.1
"""Time of an iteration over the measured one: reading, augmentation, optimiser, average and reports."""


def calibrate_start(start: Start, train: Dataset, context: DistributedContext) -> None:
    """Give folded BatchNorms the statistics that they have on the training images; nothing else is changed."""
    if not start.folded:
        return
    config = start.model.config
    loss = ForwardLoss(start.model, SegmentationLoss(None), config.mean, config.std, torch.float32)
    calibrate(loss.to(context.device), _images(train, config.resolution, context.device))


def _images(dataset: Dataset, size: tuple[int, int], device: torch.device) -> Iterator[Tensor]:
    count = min(len(dataset), _CALIBRATED_ON)
    for index in range(count):
        image = dataset[index * len(dataset) // count].image
        resized = np.ascontiguousarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA))
        yield torch.from_numpy(resized)[None].to(device)


@contextmanager
def memory_errors(context: DistributedContext) -> Iterator[None]:
    """Turn a lack of memory before the first iteration into a `TrainingError` with its remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"memory ran out before the first iteration; {_size(available_bytes(context.device))} are available. Use "
            "a smaller resolution and smaller crops (--set resolution=... --set crops=...), or a smaller network"
        ) from error


def fit_memory(trainer: Trainer, note: Note) -> None:
    """Choose the parts that batches are computed in so that a step fits into memory; never fewer than a state had.

    Raises:
        TrainingError: not even one image of the largest crop fits.
    """
    device, crops = trainer.context.device, trainer.recipe.crops
    cost = measure_step(trainer.forward_loss, trainer.config.unit, device)
    largest = max(crops, key=lambda crop: crop.height * crop.width)
    free = available_bytes(device)
    if device.type == "cpu":
        free -= min(free // 4, _bytes_of(trainer.data))  # samples that are kept once they have been read
    parts = fitting_parts(cost, free, trainer.batch, crops)
    kind = "GPU memory" if device.type == "cuda" else "RAM"
    # Every process raises if one does: the others would wait for it.
    parts = trainer.context.largest(trainer.batch + 1 if parts is None else parts)
    if parts > trainer.batch:
        raise TrainingError(
            f"one image of the largest crop ({largest.height}x{largest.width}) needs about "
            f"{_size(cost.of(1, largest.height, largest.width))} of {kind}, {_size(free)} are available; use smaller "
            "crops (--set crops=...) or a smaller resolution"
        )
    if parts > trainer.parts:
        trainer.parts = parts
        needed = cost.of(trainer.batch, largest.height, largest.width)
        note(
            f"a batch of {trainer.batch} at {largest.height}x{largest.width} needs about {_size(needed)} of {kind}, "
            f"{_size(free)} are available: batches are computed in {parts} parts whose gradients are summed, with the "
            "same samples and learning rates"
        )


def _bytes_of(data: TrainingData) -> int:
    total = 0
    for dataset in (data.late, data.validation):
        height, width = typical(dataset).size
        total += len(dataset) * height * width * 4
    return total


def iterations_within(seconds: float, trainer: Trainer) -> int:
    """Iterations that take about so many seconds with their validations, measured on this machine."""
    started = time.monotonic()
    per_iteration = _SLACK * seconds_of_iteration(trainer)
    alone = DistributedContext(0, 1, trainer.context.device)
    for _ in range(2):
        begun = time.monotonic()
        next(predictions(trainer.forward_loss, trainer.data.validation, trainer.config.resolution, alone))
    validation = (time.monotonic() - begun) * len(trainer.data.validation) / trainer.context.world_size
    left = seconds - (time.monotonic() - started) - _validations(trainer.recipe) * validation
    chosen = max(_FEWEST_ITERATIONS, int(left / per_iteration))
    return -trainer.context.largest(-chosen)


def _validations(recipe: Recipe) -> int:
    return max(1, -(-recipe.optimiser.iterations // recipe.validate_every))


def seconds_of_iteration(trainer: Trainer) -> float:
    """Mean over the crops, by their shares; the second of two steps each. The network's state stays the same."""
    kept = {name: value.clone() for name, value in trainer.model.named_buffers()}
    random = torch.get_rng_state()
    total = 0.0
    for crop in trainer.recipe.crops:
        images = torch.zeros(trainer.batch, crop.height, crop.width, 3, dtype=torch.uint8)
        labels = torch.zeros(trainer.batch, crop.height, crop.width, dtype=torch.uint8)
        for _ in range(2):
            begun = time.monotonic()
            float(trainer.compute_gradient(images, labels))  # waits for the device
            taken = time.monotonic() - begun
        total += taken * crop.share
    trainer.optimiser.zero_grad(set_to_none=True)
    for name, value in trainer.model.named_buffers():
        value.copy_(kept[name])
    torch.set_rng_state(random)
    return total / sum(crop.share for crop in trainer.recipe.crops)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"

"""Training loop, resumable: on the CPU bit for bit."""

from __future__ import annotations

import itertools
import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hyperseg.checkpoint.states import Note
from hyperseg.data import BatchSampler, BatchSource, Dataset, prefetch
from hyperseg.training.checkpoint import save_model, write_state
from hyperseg.training.distributed import DistributedContext, synchronise_batchnorm
from hyperseg.training.ema import EMA
from hyperseg.training.errors import TrainingError
from hyperseg.training.fast_layers import freeze_batchnorm, optimise_for_device
from hyperseg.training.loss import ForwardLoss, SegmentationLoss, class_weights, compute_type
from hyperseg.training.memory import is_out_of_memory
from hyperseg.training.optimiser import Schedule, build_optimiser, set_rates
from hyperseg.training.recipe import Recipe, recipe_table
from hyperseg.training.report import Report
from hyperseg.training.resume import data_table, weights_table
from hyperseg.training.splits import TrainingData
from hyperseg.training.start import Start
from hyperseg.training.validation import predictions, score

MAX_SKIPPED = 20
_ONE_VALUE = "more than 1 value per channel"
"""Of PyTorch's error where a BatchNorm has no batch statistics (torch/nn/functional.py, release 2.9)."""


def _ignore(text: str) -> None:
    del text


class Trainer:
    """Trains a model by a recipe.

    Writes into `folder`: last.pt (the state), best.pth and last.pth (models), log.jsonl, tensorboard/, and images of
    predictions.

    Args:
        recipe: without automatic entries.
        start: the network, and what of it is pre-trained.
        data: its datasets.
        folder: for the files.
        context: this process among those of the run.
        request: the recipe as it was asked for, with its automatic entries; kept in the state.
        note: receives a sentence where a batch does not fit into memory.

    Attributes:
        parts: parts that a batch is computed in, see `hyperseg.training.memory`.
    """

    def __init__(
        self,
        recipe: Recipe,
        start: Start,
        data: TrainingData,
        folder: Path,
        context: DistributedContext,
        request: Recipe | None = None,
        note: Note = _ignore,
    ) -> None:
        if recipe.batch % context.world_size:
            raise TrainingError(f"batch is {recipe.batch}; it must be a multiple of the {context.world_size} processes")
        self.data, self.folder, self.context = data, folder, context
        self.iteration, self.skipped, self.best, self.parts = 0, 0, -math.inf, 1
        self._start, self._request, self._note = start, request or recipe, note
        self.model, self.config = start.model, start.model.config
        synchronise_batchnorm(self.model.to(context.device), context)
        frozen = start.taken if recipe.freeze_taken_norm else frozenset()
        if recipe.freeze_backbone_norm:
            frozen |= start.backbone
        freeze_batchnorm(self.model, frozen)
        compute = compute_type(recipe.precision, context.device)
        optimise_for_device(self.model, context.device, compute)
        exponent = recipe.loss.class_weight_exponent
        weights = class_weights(data.train, exponent) if exponent else None
        loss = SegmentationLoss(weights, recipe.loss.threshold, recipe.loss.minimum, recipe.loss.jaccard)
        self.forward_loss = ForwardLoss(self.model, loss, self.config.mean, self.config.std, compute).to(context.device)
        self._distributed_loss: nn.Module = self.forward_loss
        if context.world_size > 1:
            self._distributed_loss = DistributedDataParallel(self.forward_loss)
        self.optimiser = build_optimiser(self.model, recipe.optimiser, start.backbone, start.taken)
        self.scaler = torch.amp.GradScaler(context.device.type, enabled=compute == torch.float16)
        self.set_recipe(recipe)

    def set_recipe(self, recipe: Recipe) -> None:
        """Train by a recipe of another length, before the first iteration."""
        self.recipe = recipe
        self.ema = EMA(self.model, recipe.average) if recipe.average else None
        self.schedule = Schedule(recipe.optimiser.iterations, recipe.optimiser.warmup, recipe.optimiser.power)

    @property
    def batch(self) -> int:
        """Samples of this process in one iteration."""
        return self.recipe.batch // self.context.world_size

    def run(self, report: Report | None, stop_after: int | None = None, workers: int = 1) -> None:
        """Train to the end of the schedule, or to iteration `stop_after`; `workers` threads create the batches."""
        stop = min(self.schedule.iterations, stop_after or self.schedule.iterations)
        sampler = BatchSampler(
            self.recipe.seed, self.batch, self.recipe.crops, self.context.rank, self.context.world_size
        )
        source = BatchSource(sampler, self.recipe.augmentation, self.config.resolution, self._dataset)
        started, first = time.monotonic(), self.iteration
        waiting: list[Tensor] = []
        for batch in prefetch(source, first, stop, workers):
            waiting.append(self._iterate(torch.from_numpy(batch.images), torch.from_numpy(batch.labels)))
            self.iteration += 1
            if self.iteration % self.recipe.log_every == 0 or self.iteration == stop:
                loss = float(self.context.all_reduce(torch.stack(waiting).mean()) / self.context.world_size)
                waiting.clear()
                if report is not None:
                    rate = (self.iteration - first) / (time.monotonic() - started)
                    report.record(self.iteration, loss=loss, rate=rate, learning_rate=self.rate)
            if self.iteration % self.recipe.validate_every == 0 or self.iteration == self.schedule.iterations:
                self._validate(report)
            if self.iteration % self.recipe.checkpoint_every == 0 or self.iteration == stop:
                self.save()

    @property
    def rate(self) -> float:
        """Current learning rate of the layers that are not pre-trained."""
        return self.recipe.optimiser.learning_rate * self.schedule.factor(self.iteration)

    @property
    def validation_is_unseen(self) -> bool:
        """Whether the validation split has not been trained on yet."""
        return self.iteration <= self.recipe.late_iteration or self.recipe.data.validate not in self.recipe.data.late

    def _dataset(self, iteration: int) -> Dataset:
        return self.data.train if iteration < self.recipe.late_iteration else self.data.late

    def compute_gradient(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute the gradient of a batch, in more parts where memory runs out; returns its loss."""
        self.model.train()
        loss = self._gradient(images, labels)
        while loss is None:
            self._split_further(images)
            loss = self._gradient(images, labels)
        return loss

    def _iterate(self, images: Tensor, labels: Tensor) -> Tensor:
        set_rates(self.optimiser, self.schedule.factor(self.iteration))
        loss = self.compute_gradient(images, labels)
        self.scaler.unscale_(self.optimiser)
        limit = self.recipe.optimiser.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=True)
        # DistributedDataParallel has averaged the gradients: every process has the same norm and takes the same branch.
        if torch.isfinite(norm):
            self.skipped = 0
            self.scaler.step(self.optimiser)
            if self.ema is not None:
                self.ema.update(self.model)
        else:
            self._skip()
        self.scaler.update()
        return loss

    def _gradient(self, images: Tensor, labels: Tensor) -> Tensor | None:
        """Compute the gradient of a batch, part by part; returns its loss, or None where memory ran out."""
        self.optimiser.zero_grad(set_to_none=True)
        parts = list(zip(images.tensor_split(self.parts), labels.tensor_split(self.parts), strict=True))
        total = torch.zeros((), device=self.context.device)
        try:
            for index, (some, their) in enumerate(parts):
                with self._synchronised(index == len(parts) - 1):
                    loss = self._distributed_loss(some.to(self.context.device), their.to(self.context.device))
                    loss = loss * (len(some) / len(images))
                    self.scaler.scale(loss).backward()
                total += loss.detach()
        except ValueError as error:
            if _ONE_VALUE not in str(error):
                raise
            raise TrainingError(
                f"a BatchNorm has one value per channel: its part of the batch is one image of {images.shape[1]}x"
                f"{images.shape[2]}. Use larger crops (--set crops=...) or a larger batch, or keep the statistics of "
                "taken layers (--set freeze_taken_norm=true)"
            ) from error
        except (RuntimeError, MemoryError) as error:
            # The processes of a run wait for each other inside a step: one of them cannot repeat it alone.
            if self.context.world_size > 1 or not is_out_of_memory(error):
                raise
            return None
        return total

    def _synchronised(self, last: bool) -> AbstractContextManager[None]:
        """Add up gradients over the parts, and over the processes with the last one only."""
        if last or not isinstance(self._distributed_loss, DistributedDataParallel):
            return nullcontext()
        return self._distributed_loss.no_sync()

    def _split_further(self, images: Tensor) -> None:
        """Compute batches in twice as many parts from here on."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.context.device.type == "cuda":
            torch.cuda.empty_cache()
        _, height, width, _ = images.shape
        if self.parts >= len(images):
            raise TrainingError(
                f"memory ran out in iteration {self.iteration} on one image of {height}x{width}; the state is in "
                f"{self.folder}. Use smaller crops (--set crops=...) or a smaller resolution in another --out"
            )
        self.parts = min(2 * self.parts, len(images))
        self._note(
            f"memory ran out in iteration {self.iteration} (crop {height}x{width}): batches of {len(images)} are "
            f"computed in {self.parts} parts from here on, with the same samples and learning rates"
        )

    def _skip(self) -> None:
        self.skipped += 1
        if self.skipped >= MAX_SKIPPED and not self.scaler.is_enabled():
            raise TrainingError(
                f"the gradient was not finite in {MAX_SKIPPED} iterations in a row, up to {self.iteration}; "
                "lower optimiser.learning_rate or set precision=float32"
            )

    def _validate(self, report: Report | None) -> None:
        if self.ema is None:
            self._score(report)
            return
        with self.ema.applied(self.model):
            self._score(report)

    def _score(self, report: Report | None) -> None:
        dataset, size = self.data.validation, self.config.resolution
        confusion = score(self.forward_loss, dataset, size, self.context)
        if report is None:
            return
        mean, accuracy = confusion.mean_iou, confusion.pixel_accuracy
        per_class = {f"iou_{name}": float(v) for name, v in zip(dataset.classes.names, confusion.iou, strict=True)}
        report.record(
            self.iteration, mean_iou=mean, unseen=float(self.validation_is_unseen), pixel_accuracy=accuracy, **per_class
        )
        shown = predictions(self.forward_loss, dataset, size, DistributedContext(0, 1, self.context.device))
        report.add_predictions(self.iteration, list(itertools.islice(shown, 4)), dataset.classes)
        # Once the validation split is trained on, its score means nothing: the latest model then counts as the best.
        if mean > self.best or not self.validation_is_unseen:
            self.best = mean
            save_model(self.model, self.folder / "best.pth")
        save_model(self.model, self.folder / "last.pth")

    def save(self) -> None:
        """Write the state of the run to last.pt."""
        if self.context.is_main:
            write_state(self._state(), self.folder / "last.pt")
        self.context.barrier()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that `save` wrote."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.restore(state["average"])
        self.iteration, self.skipped, self.best = state["iteration"], state["skipped"], state["best"]
        self.parts = min(state["parts"], self.batch)  # fewer where more processes share the batch now
        torch.set_rng_state(state["random"])

    def _state(self) -> dict[str, Any]:
        return {
            "request": recipe_table(self._request),
            "recipe": recipe_table(self.recipe),
            "config": self.config.to_dict(),
            "start": {
                "backbone": sorted(self._start.backbone),
                "taken": sorted(self._start.taken),
                "weights": weights_table(self._start.weights),
            },
            "data": data_table(self.data),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.ema.state() if self.ema is not None else None,
            "iteration": self.iteration,
            "skipped": self.skipped,
            "best": self.best,
            "parts": self.parts,
            "random": torch.get_rng_state(),
        }

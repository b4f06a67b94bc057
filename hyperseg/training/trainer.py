"""Training loop, resumable bit for bit."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import hyperseg
from hyperseg.data import BatchSampler, BatchSource, Dataset, prefetch
from hyperseg.training.checkpoint import StateError, read_state, save_model, write_state
from hyperseg.training.distributed import DistributedContext, synchronise_batchnorm
from hyperseg.training.ema import EMA
from hyperseg.training.fast_layers import freeze_batchnorm, optimise_for_device
from hyperseg.training.loss import ForwardLoss, SegmentationLoss, class_weights, compute_type
from hyperseg.training.optimiser import Schedule, build_optimiser, set_rates
from hyperseg.training.recipe import Recipe, recipe_table
from hyperseg.training.report import Report
from hyperseg.training.validation import predictions, score

MAX_SKIPPED = 20


class TrainingError(RuntimeError):
    """Training cannot continue; the message gives the reason."""


@dataclass(frozen=True)
class TrainingData:
    """Datasets of a run; `late` includes the late splits, and replaces `train` towards the end."""

    train: Dataset
    late: Dataset
    validation: Dataset


class Trainer:
    """Trains a model by a recipe.

    Writes into `folder`: last.pt (the state), best.pth and last.pth (models), log.jsonl, tensorboard/, and images of
    predictions.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: hyperseg.HyperSeg,
        pretrained: Collection[str],
        data: TrainingData,
        folder: Path,
        context: DistributedContext,
    ) -> None:
        if recipe.batch % context.world_size:
            raise TrainingError(f"batch is {recipe.batch}; it must be a multiple of the {context.world_size} processes")
        self.recipe, self.data, self.folder, self.context = recipe, data, folder, context
        self.iteration, self.skipped, self.best = 0, 0, -math.inf
        self.config = model.config
        if recipe.freeze_backbone_norm:
            freeze_batchnorm(model, pretrained)
        synchronise_batchnorm(model.to(context.device), context)
        self.model = model
        compute = compute_type(recipe.precision, context.device)
        optimise_for_device(self.model, context.device, compute)
        exponent = recipe.loss.class_weight_exponent
        weights = class_weights(data.train, exponent) if exponent else None
        loss = SegmentationLoss(weights, recipe.loss.threshold, recipe.loss.minimum, recipe.loss.jaccard)
        self.forward_loss = ForwardLoss(self.model, loss, self.config.mean, self.config.std, compute).to(context.device)
        self._distributed_loss: nn.Module = self.forward_loss
        if context.world_size > 1:
            self._distributed_loss = DistributedDataParallel(self.forward_loss)
        self.optimiser = build_optimiser(self.model, recipe.optimiser, pretrained)
        self.scaler = torch.amp.GradScaler(context.device.type, enabled=compute == torch.float16)
        self.ema = EMA(self.model, recipe.average) if recipe.average else None
        self.schedule = Schedule(recipe.optimiser.iterations, recipe.optimiser.warmup, recipe.optimiser.power)

    def run(self, report: Report | None, stop_after: int | None = None, workers: int = 1) -> None:
        """Train to the end of the schedule, or to iteration `stop_after`; `workers` threads create the batches."""
        stop = min(self.schedule.iterations, stop_after or self.schedule.iterations)
        sampler = BatchSampler(
            self.recipe.seed,
            self.recipe.batch // self.context.world_size,
            self.recipe.crops,
            self.context.rank,
            self.context.world_size,
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

    def _iterate(self, images: Tensor, labels: Tensor) -> Tensor:
        self.model.train()
        set_rates(self.optimiser, self.schedule.factor(self.iteration))
        self.optimiser.zero_grad(set_to_none=True)
        loss: Tensor = self._distributed_loss(images.to(self.context.device), labels.to(self.context.device))
        self.scaler.scale(loss).backward()
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
        return loss.detach()

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

    def restore(self) -> bool:
        """Restore the state from last.pt if it exists; it must be of the same recipe."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = read_state(path)
        if state.get("recipe") != recipe_table(self.recipe):
            raise StateError(f"{path} was made with another recipe; use another --out, or --force to start again")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.restore(state["average"])
        self.iteration, self.skipped, self.best = state["iteration"], state["skipped"], state["best"]
        torch.set_rng_state(state["random"])
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": recipe_table(self.recipe),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.ema.state() if self.ema is not None else None,
            "iteration": self.iteration,
            "skipped": self.skipped,
            "best": self.best,
            "random": torch.get_rng_state(),
        }

"""The training loop, resumable to the bit."""

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
from hyperseg.data import DataSet, Plan, Source, prefetched
from hyperseg.training.checkpoint_file import StateError, read_state, write_atomically
from hyperseg.training.distributed import DistributedContext, synchronise_norms
from hyperseg.training.ema import EMA
from hyperseg.training.fast_layers import freeze_norms, suit_to_device
from hyperseg.training.loss import SegmentationLoss, class_weights
from hyperseg.training.optimiser import build_optimiser, set_rates
from hyperseg.training.recipe import Recipe
from hyperseg.training.recipe_file import recipe_table
from hyperseg.training.report import Report
from hyperseg.training.schedule import Schedule
from hyperseg.training.step import ForwardLoss, compute_type
from hyperseg.training.validate import predictions, score

MAX_SKIPPED = 20


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what happened."""


@dataclass(frozen=True)
class Pictures:
    """The data sets of a run: `late` has the late splits as well, and replaces `train` towards the end."""

    train: DataSet
    late: DataSet
    validate: DataSet


class Trainer:
    """Trains `model` by a recipe.

    Writes into `folder`: last.pt (the state), best.pth and last.pth (models), log.jsonl, tensorboard/, pictures.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: hyperseg.HyperSeg,
        pretrained: Collection[str],
        pictures: Pictures,
        folder: Path,
        team: DistributedContext,
    ) -> None:
        if recipe.batch % team.world:
            raise TrainingError(f"batch is {recipe.batch}; it must be a multiple of the {team.world} processes")
        self.recipe, self.pictures, self.folder, self.team = recipe, pictures, folder, team
        self.iteration, self.skipped, self.best = 0, 0, -math.inf
        self.config = model.config
        if recipe.freeze_backbone_norm:
            freeze_norms(model, pretrained)
        synchronise_norms(model.to(team.device), team)
        self.model = model
        compute = compute_type(recipe.precision, team.device)
        suit_to_device(self.model, team.device, compute)
        exponent = recipe.loss.class_weight_exponent
        weights = class_weights(pictures.train, exponent) if exponent else None
        loss = SegmentationLoss(weights, recipe.loss.threshold, recipe.loss.minimum, recipe.loss.jaccard)
        self.step = ForwardLoss(self.model, loss, self.config.mean, self.config.std, compute).to(team.device)
        self.forward_loss: nn.Module = DistributedDataParallel(self.step) if team.world > 1 else self.step
        self.optimiser = build_optimiser(self.model, recipe.optimiser, pretrained)
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=compute == torch.float16)
        self.average = EMA(self.model, recipe.average) if recipe.average else None
        self.schedule = Schedule(recipe.optimiser.iterations, recipe.optimiser.warmup, recipe.optimiser.power)

    def run(self, report: Report | None, stop_after: int | None = None, workers: int = 1) -> None:
        """Train to the end of the schedule, or to iteration `stop_after`; `workers` threads make the batches."""
        stop = min(self.schedule.iterations, stop_after or self.schedule.iterations)
        plan = Plan(
            self.recipe.seed, self.recipe.batch // self.team.world, self.recipe.crops, self.team.rank, self.team.world
        )
        source = Source(plan, self.recipe.augmentation, self.config.resolution, self._data)
        started, first = time.monotonic(), self.iteration
        waiting: list[Tensor] = []
        for batch in prefetched(source, first, stop, workers):
            waiting.append(self._iterate(torch.from_numpy(batch.images), torch.from_numpy(batch.labels)))
            self.iteration += 1
            if self.iteration % self.recipe.log_every == 0 or self.iteration == stop:
                loss = float(self.team.total(torch.stack(waiting).mean()) / self.team.world)
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
        """The present learning rate of new layers."""
        return self.recipe.optimiser.learning_rate * self.schedule.factor(self.iteration)

    @property
    def honest(self) -> bool:
        """Whether the validation split is still unseen by the training."""
        return self.iteration <= self.recipe.late_iteration or self.recipe.data.validate not in self.recipe.data.late

    def _data(self, iteration: int) -> DataSet:
        return self.pictures.train if iteration < self.recipe.late_iteration else self.pictures.late

    def _iterate(self, images: Tensor, labels: Tensor) -> Tensor:
        self.model.train()
        set_rates(self.optimiser, self.schedule.factor(self.iteration))
        self.optimiser.zero_grad(set_to_none=True)
        loss: Tensor = self.forward_loss(images.to(self.team.device), labels.to(self.team.device))
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        limit = self.recipe.optimiser.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=True)
        # DistributedDataParallel has averaged the gradients: every process sees the same norm and decides alike.
        if torch.isfinite(norm):
            self.skipped = 0
            self.scaler.step(self.optimiser)
            if self.average is not None:
                self.average.update(self.model)
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
        if self.average is None:
            self._score(report)
            return
        with self.average.applied(self.model):
            self._score(report)

    def _score(self, report: Report | None) -> None:
        data, size = self.pictures.validate, self.config.resolution
        confusion = score(self.step, data, size, self.team)
        if report is None:
            return
        mean, accuracy = confusion.mean_iou, confusion.pixel_accuracy
        per_class = {f"iou_{name}": float(v) for name, v in zip(data.classes.names, confusion.iou, strict=True)}
        report.record(self.iteration, mean_iou=mean, unseen=float(self.honest), pixel_accuracy=accuracy, **per_class)
        shown = predictions(self.step, data, size, DistributedContext(0, 1, self.team.device))
        report.picture(self.iteration, list(itertools.islice(shown, 4)), data.classes)
        # Once the late splits train as well their score says nothing: the latest model is then the best there is.
        if mean > self.best or not self.honest:
            self.best = mean
            save_model(self.model, self.folder / "best.pth")
        save_model(self.model, self.folder / "last.pth")

    def save(self) -> None:
        """Write last.pt, from which `restore` continues."""
        if self.team.leads:
            write_atomically(self._state(), self.folder / "last.pt")
        self.team.wait()

    def restore(self) -> bool:
        """Continue from last.pt if there is one; it must be of the same recipe."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = read_state(path)
        if state.get("recipe") != recipe_table(self.recipe):
            raise StateError(f"{path} was made with another recipe; use another --out, or --force to start again")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.restore(state["average"])
        self.iteration, self.skipped, self.best = state["iteration"], state["skipped"], state["best"]
        torch.set_rng_state(state["random"])
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": recipe_table(self.recipe),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state() if self.average is not None else None,
            "iteration": self.iteration,
            "skipped": self.skipped,
            "best": self.best,
            "random": torch.get_rng_state(),
        }


def save_model(model: hyperseg.HyperSeg, path: Path) -> None:
    """`hyperseg.save`, but beside and then renamed."""
    beside = path.with_name("part-" + path.name)
    try:
        hyperseg.save(model, beside)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StateError(f"{path} could not be written ({error.strerror or error})") from error

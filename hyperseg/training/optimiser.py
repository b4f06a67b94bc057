"""Optimiser (Adam with parameter groups) and learning-rate schedule."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from hyperseg.training.recipe import Algorithm, Optimiser


@dataclass(frozen=True)
class Schedule:
    """Learning-rate schedule: linear warm-up, then polynomial decay with factor (1 - i/t)^power at iteration i of t."""

    iterations: int
    warmup: int = 0
    power: float = 0.9

    def factor(self, iteration: int) -> float:
        """Factor of the initial learning rates at `iteration`."""
        rise = min(1.0, (iteration + 1) / (self.warmup + 1))
        return float(rise * max(0.0, 1 - iteration / self.iterations) ** self.power)


def build_optimiser(model: nn.Module, recipe: Optimiser, pretrained: Collection[str]) -> torch.optim.Optimizer:
    """Create the optimiser; names in `pretrained` get the backbone's learning rate, vectors no weight decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((name in pretrained, parameter.ndim > 1), []).append(parameter)
    described = [
        {
            "params": parameters,
            "initial_lr": recipe.backbone_learning_rate if old else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
        }
        for (old, decayed), parameters in groups.items()
    ]
    kind = torch.optim.AdamW if recipe.algorithm is Algorithm.ADAMW else torch.optim.Adam
    # The learning rate of each iteration is set from the schedule; the one given here is never used.
    return kind(described, lr=recipe.learning_rate, betas=recipe.betas, foreach=True)


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of every group to its initial one times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * factor

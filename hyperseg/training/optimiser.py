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


def build_optimiser(
    model: nn.Module, recipe: Optimiser, pretrained: Collection[str], taken: Collection[str] = ()
) -> torch.optim.Optimizer:
    """Create the optimiser.

    Names in `pretrained` get the backbone's learning rate, others in `taken` that of taken layers; vectors get no
    weight decay.
    """
    taken_rate = recipe.taken_learning_rate or recipe.learning_rate
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = recipe.learning_rate
        if name in pretrained:
            rate = recipe.backbone_learning_rate
        elif name in taken:
            rate = taken_rate
        groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    described = [
        {"params": parameters, "initial_lr": rate, "weight_decay": recipe.weight_decay if decayed else 0.0}
        for (rate, decayed), parameters in groups.items()
    ]
    kind = torch.optim.AdamW if recipe.algorithm is Algorithm.ADAMW else torch.optim.Adam
    # The learning rate of each iteration is set from the schedule; the one given here is never used.
    return kind(described, lr=recipe.learning_rate, betas=recipe.betas, foreach=True)


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of every group to its initial one times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * factor

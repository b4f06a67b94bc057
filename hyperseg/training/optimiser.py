"""Adam over two groups of weights: the pre-trained backbone, and what is new."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from hyperseg.training.recipe import Algorithm, Optimiser


def build_optimiser(model: nn.Module, recipe: Optimiser, pretrained: Collection[str]) -> torch.optim.Optimizer:
    """`pretrained` names the parameters that take the backbone's learning rate. Vectors are not decayed."""
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
    """Give every group its initial learning rate times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * factor

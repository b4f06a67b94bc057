"""Several processes on one run, started by `torchrun`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as collective
from torch import Tensor, nn


@dataclass(frozen=True)
class DistributedContext:
    """This process among its equals."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


@contextmanager
def join_team(device: str) -> Iterator[DistributedContext]:
    """Join the processes that torchrun started, or be a team of one. `device` is "auto", "cpu" or "cuda"."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    kind = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield DistributedContext(0, 1, chosen)
        return
    if kind == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield DistributedContext(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        dist.destroy_process_group()


def synchronise_norms(model: nn.Module, team: DistributedContext) -> nn.Module:
    """Let every training BatchNorm take its statistics over all processes."""
    if team.world == 1:
        return model
    if team.device.type == "cuda":
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return synchronised
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SynchronisedNorm
    return model


class SynchronisedNorm(nn.BatchNorm2d):
    """BatchNorm over the batches of all processes, on any device (PyTorch's own needs a GPU)."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        values = input if input.dtype == torch.float64 else input.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = collective.all_reduce(torch.cat([values.sum((0, 2, 3)), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        # Two passes: the mean square minus the squared mean would lose digits.
        centred = values - mean.view(1, -1, 1, 1)
        variance = collective.all_reduce(centred.square().sum((0, 2, 3))) / total
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * total / (total - 1), momentum)
        scale = (variance + self.eps).rsqrt()
        normal = centred * scale.view(1, -1, 1, 1)
        if self.weight is not None and self.bias is not None:
            normal = normal * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        result: Tensor = normal.to(input.dtype)
        return result

"""Distributed training: processes started by `torchrun`, and synchronised BatchNorm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as collective
from torch import Tensor, nn

from hyperseg.layers import replace_modules


@dataclass(frozen=True)
class DistributedContext:
    """Rank, number of processes, and device of this process."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes files and reports progress."""
        return self.rank == 0

    def all_reduce(self, value: Tensor) -> Tensor:
        """Sum a tensor over all processes."""
        if self.world_size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def largest(self, value: int) -> int:
        """Largest of a whole number over all processes."""
        if self.world_size == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def distributed_context(device: str) -> Iterator[DistributedContext]:
    """Join the process group that torchrun started, or run alone. `device` is "auto", "cpu" or "cuda"."""
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


def synchronise_batchnorm(model: nn.Module, context: DistributedContext) -> None:
    """Replace every BatchNorm below the model, in place, by one with statistics over all processes."""
    if context.world_size == 1:
        return
    if context.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    replace_modules(model, lambda _, module: SyncBatchNorm(module) if isinstance(module, nn.BatchNorm2d) else None)


class SyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the batches of all processes, on any device (PyTorch's needs a GPU).

    Args:
        norm: the BatchNorm whose parameters and buffers it takes over.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta"
        )
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)

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

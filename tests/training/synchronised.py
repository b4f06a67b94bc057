"""Script for two processes: prints how far their gradients are from those of the whole batch, in float64."""

import torch
import torch.distributed as dist
from torch import nn

from hyperseg.layers import ConvBN
from hyperseg.training.distributed import distributed_context, synchronise_batchnorm


def network() -> nn.Module:
    torch.manual_seed(0)
    units = [ConvBN(3, 8, 3, padding=(1, 1, 1, 1), activation=nn.ReLU6), ConvBN(8, 8, 3, 2, activation=nn.ReLU)]
    return nn.Sequential(*units, ConvBN(8, 4)).double()


def gradients(model: nn.Module, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    (model(images) * weights).mean().backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])


with distributed_context("cpu") as context:
    plain = network()
    torch.manual_seed(1)
    images = torch.randn(4, 3, 12, 12, dtype=torch.float64)
    weights = torch.randn_like(plain(images))
    part = slice(2 * context.rank, 2 * context.rank + 2)
    synchronised = network()
    synchronise_batchnorm(synchronised, context)
    shared = gradients(synchronised, images[part], weights[part])
    dist.all_reduce(shared)
    if context.is_main:
        whole = gradients(network(), images, weights)
        print(float((shared / context.world_size - whole).norm() / whole.norm()))

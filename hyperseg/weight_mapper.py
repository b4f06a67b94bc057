"""The weight mappers w_i: signal -> weights of the decoder, one set per patch (paper, Eq. 3 and 6)."""

import torch
from torch import Tensor, nn

from hyperseg.shapes import WeightMapperShape


def generate(signal: Tensor, weight: Tensor, start: int) -> Tensor:
    """θ from the signal by a grouped 1×1 convolution, written as one batched matrix product.

    Its result needs no permutation: T = groups, and patch (i, j)'s weights are T pieces of length L.

    Args:
        signal: φ [N, C, N_h, N_w].
        weight: [T, C_i / T, L].
        start: first channel of φ that is read.

    Returns:
        θ [N, T, N_h, N_w, L].
    """
    groups, channels, length = weight.shape
    n, _, rows, columns = signal.shape
    part = signal[:, start : start + groups * channels]
    part = part.reshape(n, groups, channels, rows * columns).transpose(2, 3)
    return torch.matmul(part, weight).view(n, groups, rows, columns, length)


class WeightMapper(nn.Module):
    """One w_i with its learned weight [rows, C_i / groups, 1, 1], as a 1×1 convolution stores it."""

    def __init__(self, shape: WeightMapperShape) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.empty(shape.rows, shape.channels // shape.groups, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, signal: Tensor, scale: Tensor | None = None) -> Tensor:
        """φ -> θ [N, T, N_h, N_w, L]; `scale` [P_i] multiplies the generated weights (a folded BatchNorm)."""
        return generate(signal, self.matrix(scale), self.shape.start)

    def matrix(self, scale: Tensor | None) -> Tensor:
        """The weight as [T, C_i / T, L] with its first P_i rows scaled."""
        weight = self.weight[:, :, 0, 0]
        if scale is not None:
            padding = scale.new_ones(self.shape.rows - self.shape.weights)
            weight = weight * torch.cat([scale, padding])[:, None]
        return weight.view(self.shape.groups, -1, weight.shape[1]).transpose(1, 2)

"""Decoder d with dynamic convolutions: weight mappers w_i turn the signal into the weights of each level.

Paper, Eq. 3, 4 and 6, Sec. 3.2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hyperseg.operators  # noqa: F401  registers torch.ops.hyperseg
from hyperseg.config import Config, Halo
from hyperseg.layers import batchnorm_affine
from hyperseg.operators import reference
from hyperseg.shapes import LevelShape, WeightMapperShape

_OPERATORS = torch.ops.hyperseg


def generate(signal: Tensor, weight: Tensor, start: int) -> Tensor:
    """Generate θ from the signal: a grouped 1×1 convolution, written as one batched matrix product.

    The result needs no permutation: T = groups, and the weights of patch (i, j) are T pieces of length L.

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
    """Weight mapper w_i with its learned weight [rows, C_i / groups, 1, 1], as a 1×1 convolution stores it."""

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


def run_level(
    shape: LevelShape, halo: Halo, x: Tensor, previous: Tensor | None, theta: Tensor, biases: Sequence[Tensor]
) -> Tensor:
    """Run a level without BatchNorm, by the operators that every backend shares.

    Args:
        x: skip feature F_i or the image, [N, skip, H, W].
        previous: output of the coarser level at half the size.
        theta: [N, T, N_h, N_w, L] with this level's weights from `shape.offset` on.
        biases: one [C_out] per convolution.
    """
    offset = shape.offset
    x = x.to(theta.dtype)  # under autocast the image is still float32
    if not shape.hidden:
        result = _OPERATORS.dpw_conv(x, theta, biases[0], previous, [1, 1], 1, "relu", offset, 1)
    elif halo is Halo.OWN:
        kernel = [shape.kernel, shape.kernel]
        result = _OPERATORS.dpw_inverted_residual(x, theta, *biases, previous, kernel, offset, 1)
    else:
        pw1, dw, _ = shape.pieces
        kernel = [shape.kernel, shape.kernel]
        hidden = _OPERATORS.dpw_conv(x, theta, biases[0], previous, [1, 1], 1, "relu6", offset, 1)
        hidden = _OPERATORS.dpw_conv(hidden, theta, biases[1], None, kernel, shape.hidden, "relu6", offset + pw1, 0)
        result = _OPERATORS.dpw_conv(hidden, theta, biases[2], None, [1, 1], 1, "none", offset + pw1 + dw, 0)
        if shape.inputs == shape.outputs:
            result = result + reference.compose(x, previous, with_coordinates=True)
    return torch.as_tensor(result)


def split_weights(shape: LevelShape, theta: Tensor) -> list[Tensor]:
    """Split θ into pw1, dw and pw2 of a meta block, [B, count] each."""
    weights = reference.patch_weights(theta, shape.offset, shape.weights)
    return list(torch.split(weights, list(shape.pieces), dim=1))


class DynamicLevel(nn.Module):
    """Meta block m_i, or a single 1×1 DPWConv, with a BatchNorm after each convolution (eps 1e-5)."""

    def __init__(self, shape: LevelShape, halo: Halo) -> None:
        super().__init__()
        self.shape = shape
        self.halo = halo
        channels = (shape.hidden, shape.hidden, shape.outputs) if shape.hidden else (shape.outputs,)
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)

    def folded(self) -> tuple[Tensor, list[Tensor]]:
        """Fold the BatchNorms into factors [P_i] of the generated weights and biases of the convolutions (Sec. 3.2)."""
        scales, biases = [], []
        for norm, count in zip(self.norms, self.shape.pieces, strict=True):
            scale, bias = batchnorm_affine(norm)
            biases.append(bias)
            scales.append(scale.repeat_interleave(count // scale.numel()))
        return torch.cat(scales), biases

    def forward(self, x: Tensor, previous: Tensor | None, theta: Tensor) -> Tensor:
        """Run the level on batch statistics, in training.

        Skip [N, skip, H, W] and previous output at half the size -> [N, outputs, H, W].
        """
        if not self.shape.hidden:
            result = reference.dpw_conv(
                x, theta, None, previous, (1, 1), 1, "none", self.shape.offset, True, self.shape.outputs
            )
            return F.relu(self.norms[0](result))
        composed = reference.compose(x, previous, with_coordinates=True)
        block = self._own_halo if self.halo is Halo.OWN else self._neighbours_halo
        result = block(composed, theta)
        return result + composed if composed.shape[1] == self.shape.outputs else result

    def _own_halo(self, x: Tensor, theta: Tensor) -> Tensor:
        """Meta block whose BatchNorm sees the hidden values of whole windows, halo included."""
        pw1, dw, pw2 = split_weights(self.shape, theta)
        kernel, hidden, grid = (self.shape.kernel,) * 2, self.shape.hidden, reference.grid_of(theta)
        patches = reference.windows(x, grid, self.shape.kernel // 2)
        expanded = F.relu6(self.norms[0](reference.pointwise(patches, pw1, hidden)), inplace=True)
        filtered = F.relu6(self.norms[1](reference.convolve(expanded, dw, hidden, kernel, hidden)), inplace=True)
        return reference.merge(self.norms[2](reference.pointwise(filtered, pw2, self.shape.outputs)), grid)

    def _neighbours_halo(self, x: Tensor, theta: Tensor) -> Tensor:
        """Meta block as three DPWConvs over the whole map."""
        kernel, hidden, grid = (self.shape.kernel,) * 2, self.shape.hidden, reference.grid_of(theta)
        pw1, dw, pw2 = split_weights(self.shape, theta)
        expanded = F.relu6(
            self.norms[0](reference.merge(reference.pointwise(reference.windows(x, grid, 0), pw1, hidden), grid))
        )
        patches = reference.windows(expanded, grid, self.shape.kernel // 2)
        filtered = F.relu6(self.norms[1](reference.convolve(patches, dw, hidden, kernel, hidden)))
        return reference.merge(self.norms[2](reference.pointwise(filtered, pw2, self.shape.outputs)), grid)


class Decoder(nn.Module):
    """Decoder levels and their weight mappers; each w_i runs right before its level consumes the weights."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.mappers = nn.ModuleList(WeightMapper(shape) for shape in config.mappers)
        self.levels = nn.ModuleList(DynamicLevel(shape, config.halo) for shape in config.levels)
        self.halo = config.halo
        self.shapes = config.levels

    def forward(self, image: Tensor, features: Sequence[Tensor], signal: Tensor) -> Tensor:
        """Image [N, 3, H, W], F_1..F_5 and φ -> logits of the finest level."""
        skips = [*reversed(features), image]
        output: Tensor | None = None
        for index in range(len(self.mappers)):
            shapes = [shape for shape in self.shapes if shape.mapper == index]
            if self.training:
                theta = self.mappers[index](signal)
                for shape in shapes:
                    output = self.levels[shape.index](skips[shape.index], output, theta)
            else:
                folded = [self._level(shape).folded() for shape in shapes]
                theta = self.mappers[index](signal, torch.cat([scale for scale, _ in folded]))
                for shape, (_, biases) in zip(shapes, folded, strict=True):
                    output = run_level(shape, self.halo, skips[shape.index], output, theta, biases)
        assert output is not None
        return output

    def _level(self, shape: LevelShape) -> DynamicLevel:
        level = self.levels[shape.index]
        assert isinstance(level, DynamicLevel)
        return level

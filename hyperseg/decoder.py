"""The decoder d: levels whose weights the signal makes, coarse to fine (paper, Eq. 4, Sec. 3.2)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hyperseg.operators  # noqa: F401  registers torch.ops.hyperseg
from hyperseg.config import Config, Halo
from hyperseg.operators import reference
from hyperseg.operators.patches import compose, convolve, merge, patch_weights, pointwise, windows
from hyperseg.shapes import LevelShape
from hyperseg.weight_mapper import WeightMapper

__all__ = ["Decoder", "DynamicLevel", "run_level"]
_OPERATORS = torch.ops.hyperseg


def run_level(
    shape: LevelShape, halo: Halo, x: Tensor, previous: Tensor | None, theta: Tensor, biases: Sequence[Tensor]
) -> Tensor:
    """A level without BatchNorm, by the operators that every backend shares.

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
            result = result + compose(x, previous, with_coordinates=True)
    return torch.as_tensor(result)


def split_weights(shape: LevelShape, theta: Tensor) -> list[Tensor]:
    """θ's pw1, dw and pw2 of a meta block, [B, count] each."""
    weights = patch_weights(theta, shape.offset, shape.weights)
    return list(torch.split(weights, list(shape.pieces), dim=1))


class DynamicLevel(nn.Module):
    """A meta block m_i, or a single DPWConv 1×1, with the BatchNorm behind each convolution (eps 1e-5)."""

    def __init__(self, shape: LevelShape, halo: Halo) -> None:
        super().__init__()
        self.shape = shape
        self.halo = halo
        channels = (shape.hidden, shape.hidden, shape.outputs) if shape.hidden else (shape.outputs,)
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)

    def folded(self) -> tuple[Tensor, list[Tensor]]:
        """The BatchNorms as factors [P_i] of the generated weights and biases of the convolutions (paper, Sec. 3.2)."""
        scales, biases = [], []
        for norm, count in zip(self.norms, self.shape.pieces, strict=True):
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            biases.append(norm.bias - norm.running_mean * scale)
            scales.append(scale.repeat_interleave(count // scale.numel()))
        return torch.cat(scales), biases

    def forward(self, x: Tensor, previous: Tensor | None, theta: Tensor) -> Tensor:
        """One level on batch statistics, in training.

        Skip [N, skip, H, W] and previous output at half the size -> [N, outputs, H, W].
        """
        if not self.shape.hidden:
            result = reference.dpw_conv(
                x, theta, None, previous, (1, 1), 1, "none", self.shape.offset, True, self.shape.outputs
            )
            return F.relu(self.norms[0](result))
        composed = compose(x, previous, with_coordinates=True)
        block = self._own_halo if self.halo is Halo.OWN else self._neighbours_halo
        result = block(composed, theta)
        return result + composed if composed.shape[1] == self.shape.outputs else result

    def _own_halo(self, x: Tensor, theta: Tensor) -> Tensor:
        """BatchNorm sees the hidden values of whole windows, halo included."""
        pw1, dw, pw2 = split_weights(self.shape, theta)
        kernel, hidden, grid = (self.shape.kernel,) * 2, self.shape.hidden, reference.grid_of(theta)
        patches = windows(x, grid, self.shape.kernel // 2)
        expanded = F.relu6(self.norms[0](pointwise(patches, pw1, hidden)), inplace=True)
        filtered = F.relu6(self.norms[1](convolve(expanded, dw, hidden, kernel, hidden)), inplace=True)
        return merge(self.norms[2](pointwise(filtered, pw2, self.shape.outputs)), grid)

    def _neighbours_halo(self, x: Tensor, theta: Tensor) -> Tensor:
        """Three DPWConvs over the whole map."""
        kernel, hidden, grid = (self.shape.kernel,) * 2, self.shape.hidden, reference.grid_of(theta)
        pw1, dw, pw2 = split_weights(self.shape, theta)
        expanded = F.relu6(self.norms[0](merge(pointwise(windows(x, grid, 0), pw1, hidden), grid)))
        patches = windows(expanded, grid, self.shape.kernel // 2)
        filtered = F.relu6(self.norms[1](convolve(patches, dw, hidden, kernel, hidden)))
        return merge(self.norms[2](pointwise(filtered, pw2, self.shape.outputs)), grid)


class Decoder(nn.Module):
    """All levels and their weight mappers; each w_i runs right before its level consumes the weights."""

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

"""Baseline networks in the formulation of the published code: unfolded patches and one grouped convolution.

Exported with standard operators only, they are the baseline of the benchmarks. They share the weights of a network, so
both formulations must give the same labels.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hyperseg_export.samples import random_network
from hyperseg_export.tracing import Deployment
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.config import Config, Halo
from hyperseg.shapes import LevelShape


def unfold(x: Tensor, grid: tuple[int, int], halo: int) -> Tensor:
    """[N, C, H, W] -> [N * N_h * N_w, C, h + 2 * halo, w + 2 * halo], reflect-padded."""
    channels = x.shape[1]
    height, width = x.shape[2] // grid[0], x.shape[3] // grid[1]
    if halo:
        x = F.pad(x, (halo,) * 4, mode="reflect")
    x = x.unfold(2, height + 2 * halo, height).unfold(3, width + 2 * halo, width)
    return x.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels, height + 2 * halo, width + 2 * halo)


def fold(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """[N * N_h * N_w, C, h, w] -> [N, C, H, W]."""
    _, channels, height, width = patches.shape
    x = patches.view(-1, *grid, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(-1, channels, grid[0] * height, grid[1] * width)


def convolve(patches: Tensor, weights: Tensor, outputs: int, kernel: int = 1, groups: int = 1) -> Tensor:
    """Convolve every patch [B, C, h, w] with its own weights [B, P], by one convolution of B * groups groups."""
    count, channels, height, width = patches.shape
    filters = weights.reshape(count * outputs, channels // groups, kernel, kernel)
    y = F.conv2d(patches.reshape(1, count * channels, height, width), filters, groups=count * groups)
    return y.view(count, outputs, y.shape[2], y.shape[3])


class PlainLevel(nn.Module):
    """One decoder level; the generated weights come as [N, P, N_h, N_w]."""

    def __init__(self, shape: LevelShape, halo: Halo) -> None:
        super().__init__()
        self.shape = shape
        self.own_halo = halo is Halo.OWN
        outputs = [shape.outputs] if shape.kernel == 1 else [shape.hidden, shape.hidden, shape.outputs]
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in outputs)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        grid = (weights.shape[2], weights.shape[3])
        pieces = weights.permute(0, 2, 3, 1).split(list(self.shape.pieces), dim=-1)
        if self.shape.kernel == 1:
            y = convolve(unfold(x, grid, 0), pieces[0], self.shape.outputs)
            return F.relu(self.norms[0](fold(y, grid)))
        hidden, outputs = self.shape.hidden, self.shape.outputs
        patches = unfold(x, grid, 1 if self.own_halo else 0)
        h = F.relu6(self.norms[0](convolve(patches, pieces[0], hidden)))
        if not self.own_halo:
            h = unfold(fold(h, grid), grid, 1)
        d = F.relu6(self.norms[1](convolve(h, pieces[1], hidden, kernel=3, groups=hidden)))
        y = fold(self.norms[2](convolve(d, pieces[2], outputs)), grid)
        return y + x if self.shape.inputs == outputs else y


class PlainDecoder(nn.Module):
    """Weight mappers and levels in the published formulation; takes the state dict of the project's decoder."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mappers = nn.ModuleList(
            nn.Conv2d(mapper.channels, mapper.rows, 1, groups=mapper.groups, bias=False) for mapper in config.mappers
        )
        self.levels = nn.ModuleList(PlainLevel(shape, config.halo) for shape in config.levels)

    def forward(self, image: Tensor, features: Sequence[Tensor], signal: Tensor) -> Tensor:
        """Image [N, 3, H, W], F_1..F_5 and φ -> logits of the finest level."""
        generated = [
            mapper(signal[:, shape.start : shape.start + shape.channels])
            for mapper, shape in zip(self.mappers, self.config.mappers, strict=True)
        ]
        previous: Tensor | None = None
        for level, skip in zip(self.levels, [*reversed(features), image], strict=False):
            parts = [coordinates(skip), skip]
            if previous is not None:
                parts.append(F.interpolate(previous, scale_factor=2.0, mode="bilinear", align_corners=False))
            shape = self.config.levels[level.shape.index]
            weights = generated[shape.mapper][:, shape.offset : shape.offset + shape.weights]
            previous = level(torch.cat(parts, dim=1), weights)
        assert previous is not None
        return previous


def coordinates(x: Tensor) -> Tensor:
    """[N, 2, H, W]: x and y from -1 to 1, both ends included."""
    batch, _, height, width = x.shape
    across = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device).view(1, 1, 1, width)
    down = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device).view(1, 1, height, 1)
    return torch.cat([plane.expand(batch, 1, height, width) for plane in (across, down)], dim=1)


def plain(network: Any) -> Any:
    """Copy a network with a decoder in the published formulation and the same weights."""
    twin = copy.deepcopy(network)
    twin.decoder = PlainDecoder(network.config)
    twin.decoder.load_state_dict(network.decoder.state_dict())
    return twin.eval()


def export_plain(
    preset: str, path: Path, resolution: tuple[int, int] | None = None, network: Any = None, opset: int = 18
) -> Path:
    """Export a preset in the plain formulation: dynamo, standard operators only; images in, labels out.

    Args:
        preset: a name of `hyperseg.presets()`.
        path: of the ONNX file to write.
        resolution: (height, width); None takes the published one.
        network: whose weights to take; None draws some.
    """
    network = random_network(preset) if network is None else network
    height, width = resolution or network.config.resolution
    module = Deployment(plain(network), fused_end=False).eval()
    image = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, (image,), opset_version=opset, input_names=["image"], output_names=["labels"], verbose=False
        )
    assert program is not None
    program.save(path, external_data=False)
    return path

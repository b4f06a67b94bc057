"""`hyperseg.summary`: parameters and multiply-adds per part, counted as in the paper (Tab. 2 and 3)."""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.config import Config, Halo
from hyperseg.network import HyperSeg, check_size
from hyperseg.shapes import LevelShape


@dataclass(frozen=True)
class Part:
    """Parameters and multiply-adds of one part; the paper's "FLOPs" are these multiply-adds."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Summary:
    """Cost of a network at one resolution and batch 1.

    Attributes:
        resolution: (height, width).
        parts: backbone, context head, w_i (weight mappers), DPWConv (the decoder's convolutions and BatchNorms).
    """

    resolution: tuple[int, int]
    parts: tuple[Part, ...]

    @property
    def parameters(self) -> int:
        """All learned parameters."""
        return sum(part.parameters for part in self.parts)

    @property
    def macs(self) -> int:
        """All multiply-adds of convolutions."""
        return sum(part.macs for part in self.parts)

    def __getitem__(self, name: str) -> Part:
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types."""
        return {**asdict(self), "parameters": self.parameters, "macs": self.macs}

    def __str__(self) -> str:
        """Format as a table."""
        height, width = self.resolution
        lines = [f"{f'{height}x{width}':<14}{'parameters':>14}{'MMAC':>12}"]
        for part in (*self.parts, Part("total", self.parameters, self.macs)):
            lines.append(f"{part.name:<14}{part.parameters:>14,}{part.macs / 1e6:>12,.1f}")
        return "\n".join(lines)


def summary(model: HyperSeg, resolution: tuple[int, int] | None = None) -> Summary:
    """Count parameters and multiply-adds per part, for batch 1.

    Args:
        model: live or folded; only shapes are computed.
        resolution: (height, width); the configuration's where None.

    Raises:
        ValueError: a height or width that is not a multiple of the network's unit.
    """
    config = model.config
    height, width = resolution or config.resolution
    check_size(height, width, config.unit)
    shadow = copy.deepcopy(model).to("meta").eval()
    macs = _convolution_macs(shadow, torch.empty(1, 3, height, width, device="meta"))
    grid = height // 32 * (width // 32)
    mapper_parameters = sum(p.numel() for name, p in model.decoder.named_parameters() if name.startswith("mapper"))
    decoder_parameters = _parameters(model.decoder) - mapper_parameters
    mapper_macs = sum(m.rows * m.channels // m.groups for m in config.mappers) * grid if config.dynamic else 0
    decoder_macs = dynamic_macs(config) * grid if config.dynamic else macs["decoder"]
    return Summary(
        (height, width),
        (
            Part("backbone", _parameters(model.backbone), macs["backbone"]),
            Part("context head", _parameters(model.context_head), macs["context_head"]),
            Part("w_i", mapper_parameters, mapper_macs),
            Part("DPWConv", decoder_parameters, decoder_macs),
        ),
    )


def dynamic_macs(config: Config) -> int:
    """Multiply-adds of all DPWConvs for one patch of the grid, recomputed halos included."""
    return sum(_level_macs(level, config.halo) for level in config.levels)


def _level_macs(level: LevelShape, halo: Halo) -> int:
    side = 1 << level.index
    pixels = side**2
    if not level.hidden:
        return level.weights * pixels
    pw1, dw, pw2 = level.pieces
    recomputed = (side + 2 * (level.kernel // 2)) ** 2 if halo is Halo.OWN else pixels
    return pw1 * recomputed + (dw + pw2) * pixels


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _convolution_macs(model: HyperSeg, images: Tensor) -> dict[str, int]:
    """Count the multiply-adds of regular convolutions in each part of the model."""
    macs = dict.fromkeys(("backbone", "context_head", "decoder"), 0)
    hooks = []
    for part in macs:
        for module in model.get_submodule(part).modules():
            if isinstance(module, nn.Conv2d):

                def count(conv: nn.Module, _: tuple[Tensor, ...], output: Tensor, part: str = part) -> None:
                    assert isinstance(conv, nn.Conv2d)
                    macs[part] += output.numel() * conv.weight[0].numel()

                hooks.append(module.register_forward_hook(count))
    with torch.no_grad():
        model.forward_low(images)
    for hook in hooks:
        hook.remove()
    return macs

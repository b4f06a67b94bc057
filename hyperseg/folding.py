"""`hyperseg.fold`: folds every BatchNorm of a network for inference (paper, Sec. 3.2)."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.config import Config
from hyperseg.context_head import FullContextHead, NestedContextHead
from hyperseg.decoder import Decoder, DynamicLevel, WeightMapper, generate, run_level
from hyperseg.layers import ConvBN, batchnorm_affine
from hyperseg.network import HyperSeg
from hyperseg.shapes import SignalRanges


class FoldedDecoder(nn.Module):
    """Folded decoder on `torch.ops.hyperseg.*` alone: θ by one batched matrix product each, and constant biases.

    Attributes:
        mapper_weights: w_i as [T, C_i / T, L], multiplied by the BatchNorms' factors.
        biases: three per meta block, one per single DPWConv, level after level.
    """

    def __init__(self, config: Config, mapper_weights: Sequence[Tensor], biases: Sequence[Sequence[Tensor]]) -> None:
        super().__init__()
        self.halo = config.halo
        self.shapes = config.levels
        self.starts = tuple(shape.start for shape in config.mappers)
        self.mapper_weights = nn.ParameterList(nn.Parameter(weight, False) for weight in mapper_weights)
        self.biases = nn.ModuleList(nn.ParameterList(nn.Parameter(b, False) for b in level) for level in biases)

    def forward(self, image: Tensor, features: Sequence[Tensor], signal: Tensor) -> Tensor:
        """Image [N, 3, H, W], F_1..F_5 and φ -> logits of the finest level."""
        skips = [*reversed(features), image]
        output: Tensor | None = None
        for index, weight in enumerate(self.mapper_weights):
            theta = generate(signal, weight, self.starts[index])
            for shape in self.shapes:
                if shape.mapper == index:
                    biases = list(self.biases[shape.index].parameters())
                    output = run_level(shape, self.halo, skips[shape.index], output, theta, biases)
        assert output is not None
        return output


class FoldedHyperSeg(HyperSeg):
    """Network for inference, created by `hyperseg.fold`."""

    def __init__(self, config: Config, backbone: nn.Module, context_head: nn.Module, decoder: nn.Module) -> None:
        nn.Module.__init__(self)
        self.config = config
        self.backbone = backbone
        self.context_head = context_head
        self.decoder = decoder


def fold(model: HyperSeg) -> FoldedHyperSeg:
    """Copy a network for inference, with every BatchNorm folded and unused parts of the context head removed.

    The encoder's BatchNorms go into its convolutions, the decoder's into the weight mappers and constant biases. Where
    every level reads the signal from channel 0 (v1_0, v0_2) and no further than the first half of φ, only those
    channels of the context head's first convolution remain; else its convolutions of a map concatenated with a coarser
    one are split in two. The logits are the same up to rounding; no parameter requires a gradient. The model itself is
    not modified.
    """
    config = model.config
    backbone = _folded_copy(model.backbone)
    head = _folded_copy(_pruned_context_head(model))
    if isinstance(head, NestedContextHead | FullContextHead):
        head.split()
    live = model.decoder
    decoder = _folded_decoder(config, live) if isinstance(live, Decoder) else _folded_copy(live)
    return FoldedHyperSeg(config, backbone, head, decoder).eval().requires_grad_(False)


def _pruned_context_head(model: HyperSeg) -> nn.Module:
    head, config = model.context_head, model.config
    from_zero = config.dynamic and config.signal_ranges is SignalRanges.FROM_ZERO
    if not (from_zero and isinstance(head, NestedContextHead)):
        return head
    inner, needed = head.inner, max(mapper.channels for mapper in config.mappers)
    if needed > inner.conv.out_channels:
        return head
    kept = ConvBN(inner.conv.in_channels, needed, activation=nn.ReLU)
    state = {name: value[:needed] if value.dim() else value for name, value in inner.state_dict().items()}
    kept.load_state_dict(state)
    return kept


def _folded_copy(module: nn.Module) -> nn.Module:
    copied = copy.deepcopy(module)
    for part in copied.modules():
        if isinstance(part, ConvBN):
            _fold_convolution(part)
    return copied


@torch.no_grad()
def _fold_convolution(block: ConvBN) -> None:
    conv = block.conv
    scale, bias = batchnorm_affine(block.norm, torch.float64)
    conv.weight = nn.Parameter((conv.weight.double() * scale[:, None, None, None]).to(conv.weight.dtype))
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype))
    block.norm = nn.Identity()


@torch.no_grad()
def _folded_decoder(config: Config, decoder: Decoder) -> FoldedDecoder:
    folded = [level.folded() for level in decoder.levels if isinstance(level, DynamicLevel)]
    weights = []
    for index, mapper in enumerate(decoder.mappers):
        assert isinstance(mapper, WeightMapper)
        scale = torch.cat([folded[shape.index][0] for shape in config.levels if shape.mapper == index])
        weights.append(mapper.matrix(scale).contiguous().clone())
    return FoldedDecoder(config, weights, [biases for _, biases in folded])

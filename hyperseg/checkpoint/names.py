"""Names of state-dict entries in published files: EfficientNet's PyTorch port, torchvision, HyperSeg by version."""

import re
from collections.abc import Iterable

from hyperseg.config import Config, ContextHead, Halo, KeyNames

COORDINATES = re.compile(r"decoder\.coord\d+_\d+")
"""Buffers of published files that can be recomputed."""
WITHOUT_INFLUENCE = re.compile(rf"{COORDINATES.pattern}|.+\.num_batches_tracked")
"""Entries that affect no output."""

_BLOCK_PARTS = {
    "expand.conv": "_expand_conv",
    "expand.norm": "_bn0",
    "depthwise.conv": "_depthwise_conv",
    "depthwise.norm": "_bn1",
    "attention.reduce": "_se_reduce",
    "attention.expand": "_se_expand",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
}
_BACKBONE_PARTS = {"stem.conv": "_conv_stem", "stem.norm": "_bn0", "head.conv": "_conv_head", "head.norm": "_bn1"}
_SEQUENTIAL = {"conv": "0", "norm": "1"}


def efficientnet_name(name: str) -> str:
    """Map our name inside an EfficientNet backbone to the port's: `stem.conv.weight` -> `_conv_stem.weight`."""
    module, _, entry = name.rpartition(".")
    if match := re.fullmatch(r"blocks\.(\d+)\.(.+)", module):
        return f"_blocks.{match[1]}.{_BLOCK_PARTS[match[2]]}.{entry}"
    if match := re.fullmatch(r"reduce\.(\d+)\.(conv|norm)", module):
        return f"_feat_fc_{match[1]}.{_SEQUENTIAL[match[2]]}.{entry}"
    return f"{_BACKBONE_PARTS[module]}.{entry}"


def resnet_name(name: str) -> str | None:
    """Map our name inside a ResNet backbone to torchvision's; None for layers that ImageNet classifiers lack."""
    if match := re.fullmatch(r"stem\.(\d+)\.(conv|norm)\.(.+)", name):
        kind = "conv" if match[2] == "conv" else "bn"
        return f"{kind}{int(match[1]) + 1}.{match[3]}"
    match = re.fullmatch(r"stages\.(\d+)\.(\d+)\.(?:convs\.(\d+)|shortcut)\.(conv|norm)\.(.+)", name)
    if match is None:
        return None
    stage, block, index, part, entry = match.groups()
    if index is None:
        return f"layer{int(stage) + 1}.{block}.downsample.{_SEQUENTIAL[part]}.{entry}"
    kind = "conv" if part == "conv" else "bn"
    return f"layer{int(stage) + 1}.{block}.{kind}{int(index) + 1}.{entry}"


def _context_head_name(config: Config, name: str) -> str:
    parts = name.split(".")
    if parts[0] == "inner":
        return f"in_conv.{_SEQUENTIAL[parts[1]]}.{parts[2]}"
    kind, index, part, entry = parts
    nested = config.context_head is ContextHead.NESTED
    block = f"{kind}_blocks.{index}" if nested else f"{kind}_{index}"
    return f"{block}.{_SEQUENTIAL[part]}.{entry}"


def _mapper_name(config: Config, index: int) -> str:
    if config.key_names is KeyNames.UNIFY:
        return f"decoder.weight_blocks.{index}.signal2weights.weight"
    if config.key_names is KeyNames.V0_1:
        return f"weight_mapper.out_conv.conv_{index}.weight"
    inside = ".0.0" if config.kernel_sizes[index] == 1 else ".0"
    return f"decoder.level_{index}{inside}.signal2weights.weight"


def _norm_name(config: Config, index: int, norm: int) -> str:
    unify = config.key_names is KeyNames.UNIFY
    level = f"decoder.level_blocks.{index}.0" if unify else f"decoder.level_{index}.0"
    if config.kernel_sizes[index] == 1:
        return f"{level}.1"
    return f"{level}.bn{norm + 1}" if config.halo is Halo.OWN else f"{level}.conv.{norm}.1"


def published_name(config: Config, name: str) -> str:
    """Map our state-dict entry `name` to its name in a published file."""
    part, _, rest = name.partition(".")
    if part == "backbone":  # every published file has an EfficientNet
        return f"backbone.{efficientnet_name(rest)}"
    if part == "context_head":
        return f"weight_mapper.{_context_head_name(config, rest)}"
    kind, index, *entries = rest.split(".")
    if kind == "mappers":
        return _mapper_name(config, int(index))
    return f"{_norm_name(config, int(index), int(entries[1]))}.{entries[2]}"


def published_names(config: Config, names: Iterable[str]) -> dict[str, str]:
    """Map our state-dict entries to their names in a published file."""
    return {name: published_name(config, name) for name in names}

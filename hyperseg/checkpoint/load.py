"""`hyperseg.load`: published checkpoints and ours."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperseg.checkpoint.arch import configs_from_arch
from hyperseg.checkpoint.names import published_names
from hyperseg.checkpoint.reader import read
from hyperseg.config import Config
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg

_COORDINATES = re.compile(r"decoder\.coord\d+_\d+")
_SHOWN = 5


def load(path: str | os.PathLike[str]) -> HyperSeg:
    """A network with its weights, in eval mode on the CPU.

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
    """Give the model the entries; `names` leads from our names to the file's."""
    wanted = model.state_dict()
    _check_names({names[name] for name in wanted}, entries)
    tensors: dict[str, Tensor] = {}
    for name, expected in wanted.items():
        tensors[name] = checked_entry(names[name], entries[names[name]], expected)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.requires_grad_(True).eval()


def _check_names(wanted: set[str], entries: Mapping[str, Any]) -> None:
    missing, extra = sorted(wanted - set(entries)), sorted(set(entries) - wanted)
    problems = []
    if missing:
        problems.append(f"the state dict lacks entries of its network ({listed(missing)})")
    if extra:
        subject = "it" if missing else "the state dict"
        problems.append(f"{subject} has entries that its network does not ({listed(extra)})")
    if problems:
        raise CheckpointError(" and ".join(problems))


def listed(names: list[str]) -> str:
    """The first names of a long list, for an error message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def checked_entry(name: str, value: Any, expected: Tensor) -> Tensor:
    """The file's entry `name` in the type of `expected`; CheckpointError where type, shape or values are wrong."""
    if not isinstance(value, Tensor):
        raise CheckpointError(f"entry {name} is a {type(value).__name__}, expected a tensor")
    if value.shape != expected.shape:
        raise CheckpointError(f"entry {name} has shape {list(value.shape)}, expected {list(expected.shape)}")
    if value.is_floating_point() != expected.is_floating_point():
        raise CheckpointError(f"entry {name} has type {value.dtype}, expected {expected.dtype}")
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"entry {name} has values that are not finite (NaN or infinity)")
    return value.detach().to(expected.dtype).contiguous()

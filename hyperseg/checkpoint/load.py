"""`hyperseg.load`: a network from a published checkpoint, or one of ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hyperseg.checkpoint.arch import configs_from_arch
from hyperseg.checkpoint.entries import fill
from hyperseg.checkpoint.files import read
from hyperseg.checkpoint.names import COORDINATES, published_names
from hyperseg.checkpoint.states import Note, State, choose, description, find_states, nameless_averages, one_line, warn
from hyperseg.config import Config
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg


def load(path: str | os.PathLike[str], *, state: str | None = None, note: Note | None = None) -> HyperSeg:
    """Load a network with its weights, in eval mode on the CPU, in float32.

    Args:
        path: a published `.pth` (with or without optimiser state and coordinate buffers), or a `.pth` or
            `.safetensors` file that `hyperseg.save` wrote. The state dict may lie in nested containers, and its names
            may have prefixes of wrappers (DataParallel, torch.compile, Lightning, averages) in any stack.
        state: for a file with several state dicts, the one to take, e.g. "ema" or "student". By default the averaged
            weights are taken where the file has a network and its average; other choices are an error.
        note: receives a sentence where something was chosen; by default it is a warning.

    Raises:
        CheckpointError: a file that cannot be read as data, or whose entries do not fit its network.
    """
    file = Path(path)
    try:
        return _load(read(file), state, note or warn(file))
    except CheckpointError as error:
        raise CheckpointError(one_line(file, error)) from None


def _load(content: Any, name: str | None, note: Note) -> HyperSeg:
    if isinstance(content, Mapping) and "recipe" in content and "optimiser" in content:
        raise CheckpointError("is the state of a training run; name best.pth or last.pth in its folder")
    states = find_states(content)
    if states:
        chosen = choose(states, name, note)
        for unused in nameless_averages(content, states):
            note(f"the averaged weights in {unused} have no names and are not used; the weights are {chosen.name}")
    elif isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        chosen = State(("state_dict",), "", {str(key): value for key, value in content["state_dict"].items()})
    else:
        raise CheckpointError("is not a HyperSeg checkpoint: it has no `state_dict` with entries of a HyperSeg network")
    config, arch = (description(content, chosen.place, key) for key in ("config", "arch"))
    published = isinstance(arch, str) and "hyperseg.models." in arch
    if config is not None and (not published or content.get("format") == "hyperseg"):
        return _load_own(config, chosen.entries)
    return _load_published(arch, chosen.entries)


def _load_own(data: Any, entries: Mapping[str, Any]) -> HyperSeg:
    if not isinstance(data, Mapping):
        raise CheckpointError("`config` is not a dictionary")
    try:
        config = Config.from_dict(dict(data))
    except (ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"bad `config`: {error}") from None
    model = _empty(config)
    return fill(model, entries, {name: name for name in model.state_dict()})


def _load_published(arch: object, entries: Mapping[str, Any]) -> HyperSeg:
    entries = {key: value for key, value in entries.items() if not COORDINATES.fullmatch(key)}
    models = [_empty(config) for config in configs_from_arch(arch)]
    names = published_names(models[0].config, models[0].state_dict())
    fitting = [model for model in models if _mappers_fit(model, names, entries)]
    return fill((fitting or models)[0], entries, names)


def _empty(config: Config) -> HyperSeg:
    with torch.device("meta"):
        return HyperSeg(config)


def _mappers_fit(model: HyperSeg, names: Mapping[str, str], entries: Mapping[str, Any]) -> bool:
    wanted = {names[name]: value.shape for name, value in model.state_dict().items() if ".mappers." in name}
    return all(getattr(entries.get(name), "shape", None) == shape for name, shape in wanted.items())

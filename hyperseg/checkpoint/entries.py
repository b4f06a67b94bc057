"""Entries of a state dict: comparison of names with a network's, checks of every value, conversion to its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg

_SHOWN = 5
_COUNTER = "num_batches_tracked"
"""Entry of a BatchNorm without influence on any output; old files lack it, and averages make it a fraction."""

_PARAMETRISED = (
    ".parametrizations.",
    ("weight_g", "weight_v", "weight_orig", "weight_mask", "weight_u", "_packed_params"),
)
_SHARDED = ("._flat_param", "_flat_param", "flat_param")


def fill(model: HyperSeg, entries: Mapping[str, Any], names: Mapping[str, str]) -> HyperSeg:
    """Give the model copies of the entries; return it in eval mode.

    Args:
        model: without values (on the meta device).
        entries: of the file.
        names: our names -> the file's.

    Raises:
        CheckpointError: entries that are missing, left over, or do not fit.
    """
    wanted = model.state_dict()
    optional = {names[name] for name in wanted if name.endswith(_COUNTER)}
    _check_names({names[name] for name in wanted}, entries, optional)
    tensors: dict[str, Tensor] = {}
    for name, expected in wanted.items():
        theirs = names[name]
        tensors[name] = torch.zeros((), dtype=torch.int64)
        if theirs not in optional or theirs in entries:
            tensors[name] = checked_entry(theirs, entries[theirs], expected)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.requires_grad_(True).eval()


def _check_names(wanted: set[str], entries: Mapping[str, Any], optional: set[str]) -> None:
    missing, extra = sorted(wanted - optional - set(entries)), sorted(set(entries) - wanted)
    if missing and any(_PARAMETRISED[0] in name or name.endswith(_PARAMETRISED[1]) for name in extra):
        raise CheckpointError(
            f"the weights are parametrised, pruned or quantised ({listed(extra)}); save the plain ones, after "
            "torch.nn.utils.parametrize.remove_parametrizations or its like"
        )
    if missing and any(name.endswith(_SHARDED) for name in extra):
        raise CheckpointError(f"the weights are flattened shards of FSDP ({listed(extra)}); save a full state dict")
    problems = []
    if missing:
        problems.append(f"the state dict lacks entries of its network ({listed(missing)})")
    if extra:
        subject = "it" if missing else "the state dict"
        problems.append(f"{subject} has entries that its network does not ({listed(extra)})")
    if problems:
        raise CheckpointError(" and ".join(problems))


def listed(names: list[str]) -> str:
    """Format the first names of a long list, for an error message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def checked_entry(name: str, value: Any, expected: Tensor) -> Tensor:
    """Check the entry `name` of a file and copy it in the type of `expected`, contiguous and on the CPU.

    Raises:
        CheckpointError: wrong type or shape, values that are not finite in that type, or negative BatchNorm variances.
    """
    _check_kind(name, value)
    if value.shape != expected.shape:
        raise CheckpointError(f"entry {name} has shape {list(value.shape)}, expected {list(expected.shape)}")
    counter = name.endswith(_COUNTER) and value.is_floating_point()
    if value.is_floating_point() != expected.is_floating_point() and not counter:
        raise CheckpointError(f"entry {name} has type {value.dtype}, expected {expected.dtype}")
    if counter and not bool(torch.isfinite(value).all()):
        value = torch.zeros_like(value)
    # A copy, because entries may share memory: tied weights, or all as views of one buffer.
    converted: Tensor = value.detach().to(expected.dtype).clone(memory_format=torch.contiguous_format)
    if converted.is_floating_point() and not bool(torch.isfinite(converted).all()):
        raise CheckpointError(f"entry {name} has values that are not finite (NaN or infinity)")
    if name.endswith("running_var") and bool((converted < 0).any()):
        raise CheckpointError(f"entry {name} has negative values; a BatchNorm variance is at least 0")
    return converted


def _check_kind(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise CheckpointError(f"entry {name} is a {type(value).__name__}, expected a tensor")
    if type(value) not in (Tensor, nn.Parameter, nn.Buffer):
        raise CheckpointError(
            f"entry {name} is a {type(value).__name__}, expected a plain tensor; save a full state dict"
        )
    if value.is_meta:
        raise CheckpointError(f"entry {name} has no values: it was saved from the meta device")
    if value.is_quantized:
        raise CheckpointError(f"entry {name} is quantised ({value.dtype}); save the network before its quantisation")
    if value.layout != torch.strided:
        raise CheckpointError(f"entry {name} is a sparse tensor ({value.layout}), expected a dense one")

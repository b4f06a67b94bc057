"""State dicts in a file: found in nested containers, without the prefixes of wrappers, and chosen without a guess.

A network is recognised by the names of its parts (`backbone.`, `decoder.`, …). What comes before them is its prefix:
`module.` of DataParallel, `_orig_mod.` of torch.compile, `model.` of Lightning, `ema_model.module.` of an average, in
any stack. A prefix is removed only where all entries of one network have it. A file with several networks is an error
that lists them; of a network and its average the average is taken, and a note says so.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperseg.checkpoint.names import WITHOUT_INFLUENCE
from hyperseg.errors import CheckpointError

PARTS = frozenset({"backbone", "context_head", "weight_mapper", "decoder"})
"""First parts of the names of our entries and of the published ones."""

_INNER = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What wrappers of a part put into names after the part's own: `backbone._orig_mod.stem.conv.weight`."""

_USUAL = frozenset(
    {"state", "dict", "model", "module", "net", "network", "weights", "params", "parameters", "values", "checkpoint"}
    | {"orig", "mod", "fsdp", "wrapped", "copy", "raw", "online", "student", "generator", "segmenter"}
)
_AVERAGES = frozenset({"ema", "shadow", "average", "averaged", "avg", "swa", "polyak"})
_OTHERS = frozenset({"optimizer", "optimizers", "optimiser", "optim", "scheduler", "schedulers", "scaler", "grads"})
"""Words in the names of containers and prefixes; of `_OTHERS` no weights are taken."""

_VERBS = ("is ", "holds ", "has ")
_DEPTH = 6
_SHOWN = 5
_LONGEST = 600

Note = Callable[[str], None]


def warn(file: Path) -> Note:
    """Return a function that turns a note on the file into a warning."""
    return lambda text: warnings.warn(one_line(file, text), stacklevel=5)


def one_line(file: Path, reason: object) -> str:
    """Format the reason with the file's name before it, as one line of printable characters, cut where too long.

    Names in a file are anything that its author wrote.
    """
    text = str(reason)
    named = text if text.startswith(str(file)) else f"{file} {text}" if text.startswith(_VERBS) else f"{file}: {text}"
    line = "".join(character if character.isprintable() else " " for character in named)
    return " ".join(line.split())[: len(str(file)) + _LONGEST]


@dataclass(frozen=True)
class State:
    """The entries of one network in a file.

    Attributes:
        place: keys of the containers around it, from the outside.
        prefix: what all names had in front, with the last point; may be empty.
        entries: names without the prefix, and their values.
    """

    place: tuple[str, ...]
    prefix: str
    entries: dict[str, Any]

    @property
    def name(self) -> str:
        """Place and prefix, as `load(..., state=…)` takes them: `state_dict.student`; "." for the file itself."""
        return ".".join([*self.place, *filter(None, self.prefix.split("."))]) or "."

    @property
    def is_average(self) -> bool:
        return bool(_words(self.name) & _AVERAGES)

    def is_usual(self, also: frozenset[str] = frozenset()) -> bool:
        """Whether the name says only that this is a network, and not which."""
        return _words(self.name) <= _USUAL | _AVERAGES | also


def _words(name: str) -> set[str]:
    return {word for word in re.split(r"[._]+", name.lower()) if word and not word.isdigit()}


Split = Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]]


def split_networks(mapping: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Split the entries of a state dict into HyperSeg networks, by prefix.

    Raises:
        CheckpointError: tensors that belong to none of the networks.
    """
    found: dict[str, dict[str, Any]] = {}
    others: list[str] = []
    for key, value in mapping.items():
        if not isinstance(key, str):
            continue
        parts = key.split(".")
        index = max((i for i, part in enumerate(parts[:-1]) if part in PARTS), default=None)
        if index is None:
            others.append(key)
            continue
        prefix = "".join(f"{part}." for part in parts[:index])
        found.setdefault(prefix, {})[".".join(parts[index:])] = value
    if not found:
        return {}
    for key in others:
        if not isinstance(mapping[key], Tensor):
            continue
        homes = [prefix for prefix in found if key.startswith(prefix)]
        if homes:
            home = max(homes, key=len)
            found[home][key.removeprefix(home)] = mapping[key]
        elif mapping[key].numel() > 1:  # a single number is a counter, as AveragedModel's n_averaged
            raise CheckpointError(
                f"mixed prefixes: entries of the network begin with {_quoted(found)}, but there is also {key}; "
                "save the network's own state dict"
            )
    return {prefix: _without_inner(entries) for prefix, entries in found.items()}


def split_backbones(anchor: str) -> Split:
    """Return a function that splits a state dict into backbones, told by the entry `anchor` that every one has."""

    def split(mapping: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        keys = [key for key in mapping if isinstance(key, str)]
        prefixes = [key.removesuffix(anchor) for key in keys if key == anchor or key.endswith(f".{anchor}")]
        return {
            prefix: _without_inner({k.removeprefix(prefix): mapping[k] for k in keys if k.startswith(prefix)})
            for prefix in prefixes
        }

    return split


def _without_inner(entries: dict[str, Any]) -> dict[str, Any]:
    """Remove the wrappers of parts where all entries of the part have them."""
    groups: dict[str, dict[str, Any]] = {}
    result: dict[str, Any] = {}
    for name, value in entries.items():
        first, point, rest = name.partition(".")
        if point:
            groups.setdefault(first, {})[rest] = value
        else:
            result[name] = value
    for first, group in groups.items():
        inner = group
        while all(name.partition(".")[0] in _INNER and "." in name for name in inner):
            if len({name.partition(".")[0] for name in inner}) > 1:
                break
            inner = {name.partition(".")[2]: value for name, value in inner.items()}
        result.update({f"{first}.{name}": value for name, value in _without_inner(inner).items()})
    return result


def find_states(content: Any, split: Split = split_networks) -> list[State]:
    """List the networks in a file, those of outer containers first."""
    found = []
    for place, mapping in _mappings(content, (), set()):
        for prefix, entries in split(mapping).items():
            state = State(place, prefix, entries)
            if not _words(state.name) & _OTHERS:
                found.append(state)
    return found


def _mappings(
    content: Any, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if not isinstance(content, Mapping) or len(place) > _DEPTH or id(content) in seen:
        return
    seen.add(id(content))  # a dictionary may contain itself
    yield place, content
    for key, value in content.items():
        if isinstance(key, str):
            yield from _mappings(value, (*place, key), seen)


def nameless_averages(content: Any, states: Sequence[State]) -> list[str]:
    """List the containers of averages in which no network was found, e.g. torch_ema's list of tensors."""
    found = []
    for place, mapping in _mappings(content, (), set()):
        for key, value in mapping.items():
            within = (*place, key) if isinstance(key, str) else ()
            words = _words(".".join(within))
            if not words & _AVERAGES or words & _OTHERS or any(s.place[: len(within)] == within for s in states):
                continue
            members = (
                value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
            )
            if any(isinstance(member, Tensor) and member.numel() > 1 for member in members):
                found.append(".".join(within))
    return found


def choose(states: Sequence[State], name: str | None, note: Note, usual: frozenset[str] = frozenset()) -> State:
    """Choose one of the networks of a file.

    Args:
        states: at least one.
        name: a `State.name`, or the last words of one; None where the file must leave no choice.
        note: receives a sentence where something was chosen.
        usual: further words that may be in the name of the only network without a note.

    Raises:
        CheckpointError: several networks fit, or none; the message lists them.
    """
    if name is not None:
        # An empty name, as of a shell variable that is not set, would end "."
        fitting = [s for s in states if s.name == name] or [s for s in states if name and s.name.endswith(f".{name}")]
        if len(fitting) != 1:
            some = "several of its state dicts are" if fitting else "none of its state dicts is"
            raise CheckpointError(f"{some} named {name or repr(name)}; it has {_listed(fitting or states)}")
        return fitting[0]
    distinct = _distinct(states)
    if len(distinct) == 1:
        if not distinct[0].is_usual(usual):
            note(f"the weights are those of {distinct[0].name}, the only network in the file")
        return distinct[0]
    averages, raw = ([s for s in distinct if s.is_average is wanted] for wanted in (True, False))
    if len(averages) == 1 and len(raw) == 1 and averages[0].is_usual(usual) and raw[0].is_usual(usual):
        if set(averages[0].entries) >= {key for key in raw[0].entries if not WITHOUT_INFLUENCE.fullmatch(key)}:
            note(f"the weights are the averaged ones ({averages[0].name}), and not those of {raw[0].name}")
            return averages[0]
        raise CheckpointError(
            f"the averaged weights ({averages[0].name}) lack entries that {raw[0].name} has; "
            f"choose with {_choice(raw[0].name)}"
        )
    mixed = "" if len({s.place for s in distinct}) > 1 else ", or one with mixed prefixes"
    raise CheckpointError(
        f"holds {len(distinct)} networks{mixed}: {_listed(distinct)}; choose with {_choice(distinct[0].name)}"
    )


def _choice(name: str) -> str:
    return f"hyperseg-export --state {name}, or hyperseg.load(…, state={name!r})"


def _distinct(states: Sequence[State]) -> list[State]:
    """Leave out repetitions: the same values under two names."""
    kept: list[State] = []
    for state in states:
        if not any(_same(state.entries, other.entries) for other in kept):
            kept.append(state)
    return kept


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.is_meta or other.is_meta:
        return False
    if one.layout != torch.strided or other.layout != torch.strided or one.is_quantized or other.is_quantized:
        return False
    return one.dtype == other.dtype and torch.equal(one, other)


def _listed(states: Sequence[State]) -> str:
    shown = [f"{s.name} ({len(s.entries)} entries)" for s in states[:_SHOWN]]
    more = f" and {len(states) - _SHOWN} more" if len(states) > _SHOWN else ""
    return ", ".join(shown) + more


def _quoted(prefixes: Iterable[str]) -> str:
    return ", ".join(prefix or "no prefix" for prefix in prefixes)


def description(content: Mapping[str, Any], place: Sequence[str], key: str) -> Any:
    """Return the entry `key` (`config` or `arch`) that belongs to a state dict: of its container, or one further out.

    Lightning's `hyper_parameters` of a container count as its own entries. None if there is no such entry.
    """
    container: Any = content
    found = None
    for step in (None, *place):
        container = container if step is None else container[step]
        for level in (container, container.get("hyper_parameters")):
            if isinstance(level, Mapping) and level.get(key) is not None and not isinstance(level[key], Tensor):
                found = level[key]
    return found

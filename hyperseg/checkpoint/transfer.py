"""Transfer of a network to other classes: the configuration that keeps its layers, and the layers themselves.

Only the outputs of the last level belong to classes; in θ they are the last rows of its mapper (pw2 [classes, hidden]).
But the number of classes also decides how the signal is divided among the mappers (paper, Eq. 5), and which group of a
mapper, and so which channels of the signal, each row belongs to. `adapted` therefore keeps the division and the rows of
the original network: what that computes before its last level stays bit-identical.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperseg.classes import Classes
from hyperseg.config import Config
from hyperseg.errors import CheckpointError
from hyperseg.network import HyperSeg
from hyperseg.shapes import LevelShape, WeightMapperShape, round_up

_SHOWN = 6


@dataclass(frozen=True)
class Transfer:
    """What a network took from another.

    Attributes:
        taken: names of the state-dict entries that are entirely the other's.
        total: number of entries of the network, without counters.
        context_head: whether the context head was taken.
        levels: for each decoder level but the last, whether it was taken.
        hidden: whether the last level was taken, but for the outputs of `new`.
        kept: classes whose outputs were taken.
        new: classes whose outputs start anew.
    """

    taken: frozenset[str]
    total: int
    context_head: bool
    levels: tuple[bool, ...]
    hidden: bool
    kept: tuple[str, ...]
    new: tuple[str, ...]

    def describe(self, origin: str) -> str:
        """One line: what was taken from `origin`, and what starts anew."""
        taken: list[str] = ["backbone"]
        anew: list[str] = []
        (taken if self.context_head else anew).append("context head")
        taken += _ranges([index for index, whole in enumerate(self.levels) if whole])
        anew += _ranges([index for index, whole in enumerate(self.levels) if not whole])
        if self.hidden:
            taken.append("hidden layers of the last level")
        if self.kept:
            taken.append(f"outputs of {_listed(self.kept)}")
        if self.new:
            what = "its outputs" if self.hidden else "the last level and its rows of the mapper"
            plural = "class" if len(self.new) == 1 else "classes"
            anew.append(f"{what} for {len(self.new)} {plural} ({_listed(self.new)})")
        line = f"from {origin}: {_joined(taken)} taken ({len(self.taken)} of {self.total} tensors whole)"
        return f"{line}; anew: {_joined(anew)}" if anew else f"{line}; nothing starts anew"


def adapted(config: Config, classes: Classes) -> Config:
    """Configuration of the same network for other classes, which keeps every level before the last as it is.

    Where the classes need no more rows of the last mapper than it has, the number of rows stays, and so do their
    groups. Else a last level that shares its mapper with one other level gets a mapper of its own, with the groups that
    the other does not use. Where that cannot be, the levels of the last mapper cannot be kept.
    """
    named = config.replace(
        num_classes=len(classes),
        class_names=classes.names,
        palette=classes.palette,
        signal_channels=tuple(mapper.channels for mapper in config.mappers) if config.dynamic else None,
        mapper_rows=None,
    )
    if not config.dynamic:
        return named
    last, level = config.mappers[-1], config.levels[-1]
    rows = tuple(mapper.rows for mapper in config.mappers)
    if named.mappers[-1].weights <= last.rows:
        return named.replace(mapper_rows=rows)
    sharing = [other for other in config.levels if other.mapper == level.mapper]
    first = -(-level.offset // last.length)
    second = last.groups - first
    if len(sharing) != 2 or second < 1:
        return named.replace(mapper_rows=(*rows[:-1], named.mappers[-1].rows))
    width = last.channels // last.groups
    before = config.mapper_count - 1
    return named.replace(
        unify_level=len(config.levels),
        weight_groups=(*config.weight_groups[:before], first, second),
        signal_channels=(*(mapper.channels for mapper in config.mappers[:before]), first * width, second * width),
        mapper_rows=(*rows[:before], first * last.length, round_up(named.levels[-1].weights, second)),
    )


@torch.no_grad()
def transfer(source: HyperSeg, target: HyperSeg) -> Transfer:
    """Copy into `target`, in place, everything of `source` that computes the same there.

    Classes of the same name keep their outputs where their rows belong to the same group of the mapper.

    Raises:
        CheckpointError: the networks have different backbones, whose features no other part could use.
    """
    theirs, ours = source.config, target.config
    if theirs.backbone != ours.backbone:
        raise CheckpointError(
            f"has the backbone {theirs.backbone}, and the network to train {ours.backbone}: nothing of it fits; use "
            "the recipe finetune, which trains the network of the checkpoint, or give --backbone-weights"
        )
    copy = _Copy(source.state_dict(), target.state_dict())
    copy.matching("backbone.")
    head = (theirs.context_head, theirs.context_levels) == (ours.context_head, ours.context_levels)
    if head:
        copy.matching("context_head.")
    copier = _Dynamic(copy, theirs, ours) if theirs.dynamic and ours.dynamic else _Static(copy)
    fits = theirs.dynamic == ours.dynamic and head
    pairs = list(zip(theirs.levels, ours.levels, strict=False))
    whole = [fits and copier.fits(old, new) and old == new for old, new in pairs[:-1]]
    whole += [False] * (len(ours.levels) - 1 - len(whole))
    for index, same in enumerate(whole):
        if same:
            copier.level(ours.levels[index])
    old, new = theirs.levels[-1], ours.levels[-1]
    same_layers = replace(old, outputs=new.outputs) == new
    hidden = fits and same_layers and copier.fits(old, new)
    names = theirs.classes.names
    kept: list[str] = []
    if hidden:
        copier.hidden(new)
        for place, name in enumerate(ours.classes.names):
            if name in names and copier.output(new, names.index(name), place):
                kept.append(name)
    target.load_state_dict(copy.ours)
    anew = tuple(name for name in ours.classes.names if name not in kept)
    taken = frozenset(name for name, value in copy.missing.items() if not value)
    inside = hidden and bool(new.hidden)
    return Transfer(taken, len(copy.missing), head, tuple(whole), inside, tuple(kept), anew)


class _Copy:
    """Copies values between two state dicts, and counts what every entry of the second still lacks."""

    def __init__(self, theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
        self.theirs = theirs
        self.ours = {name: value.clone() for name, value in ours.items()}
        # A BatchNorm's counter has no influence on any output.
        self.missing = {name: len(value) for name, value in ours.items() if not name.endswith("num_batches_tracked")}

    def matching(self, prefix: str) -> None:
        """Copy the entries under a prefix that have the same shape in both."""
        for name, value in self.ours.items():
            if name.startswith(prefix) and name in self.theirs and self.theirs[name].shape == value.shape:
                value.copy_(self.theirs[name])
                if name in self.missing:
                    self.missing[name] = 0

    def rows(self, name: str, start: int, stop: int, place: int | None = None) -> None:
        """Copy the rows from `start` to `stop`, to `place` or to the same rows."""
        place = start if place is None else place
        self.ours[name][place : place + stop - start] = self.theirs[name][start:stop]
        self.missing[name] -= stop - start


class _Dynamic:
    """Levels whose weights mappers generate."""

    def __init__(self, copy: _Copy, theirs: Config, ours: Config) -> None:
        self._copy = copy
        self._theirs = theirs.mappers
        self._ours = ours.mappers
        for index, mapper in enumerate(ours.mappers):
            # Rows that only pad are no part of the network.
            copy.missing[f"decoder.mappers.{index}.weight"] = mapper.weights

    def fits(self, old: LevelShape, new: LevelShape) -> bool:
        """Whether equal rows of both mappers read equal channels."""
        if old.mapper != new.mapper or old.offset != new.offset:
            return False
        return _reading(self._theirs[old.mapper]) == _reading(self._ours[new.mapper])

    def level(self, shape: LevelShape) -> None:
        self._copy.rows(f"decoder.mappers.{shape.mapper}.weight", shape.offset, shape.offset + shape.weights)
        self._copy.matching(f"decoder.levels.{shape.index}.")

    def hidden(self, shape: LevelShape) -> None:
        stop = shape.offset + sum(shape.pieces[:-1])
        self._copy.rows(f"decoder.mappers.{shape.mapper}.weight", shape.offset, stop)
        for norm in range(len(shape.pieces) - 1):
            self._copy.matching(f"decoder.levels.{shape.index}.norms.{norm}.")

    def output(self, new: LevelShape, source: int, place: int) -> bool:
        width = new.pieces[-1] // new.outputs
        first = new.offset + sum(new.pieces[:-1])
        start, to = first + source * width, first + place * width
        length = self._ours[new.mapper].length
        if any((start + row) // length != (to + row) // length for row in range(width)):
            return False
        self._copy.rows(f"decoder.mappers.{new.mapper}.weight", start, start + width, to)
        _copy_norm(self._copy, f"decoder.levels.{new.index}.norms.{len(new.pieces) - 1}.", source, place)
        return True


class _Static:
    """Levels of regular convolutions."""

    def __init__(self, copy: _Copy) -> None:
        self._copy = copy

    def fits(self, old: LevelShape, new: LevelShape) -> bool:
        return old.index == new.index

    def level(self, shape: LevelShape) -> None:
        self._copy.matching(f"decoder.levels.{shape.index}.")

    def hidden(self, shape: LevelShape) -> None:
        if shape.hidden:
            self._copy.matching(f"decoder.levels.{shape.index}.pw1.")
            self._copy.matching(f"decoder.levels.{shape.index}.dw.")

    def output(self, new: LevelShape, source: int, place: int) -> bool:
        name = f"decoder.levels.{new.index}.{'pw2' if new.hidden else 'pw1'}"
        self._copy.rows(f"{name}.conv.weight", source, source + 1, place)
        _copy_norm(self._copy, f"{name}.norm.", source, place)
        return True


def _copy_norm(copy: _Copy, prefix: str, source: int, place: int) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        copy.rows(prefix + name, source, source + 1, place)


def _reading(shape: WeightMapperShape) -> tuple[int, int, int]:
    """What decides the channels that a row reads: first channel, channels of a group, rows of a group."""
    return shape.start, shape.channels // shape.groups, shape.length


def _ranges(indices: Sequence[int]) -> list[str]:
    """Levels, counted from 1, as "levels 1-4" or "level 3"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return [f"levels {run[0] + 1}-{run[-1] + 1}" if len(run) > 1 else f"level {run[0] + 1}" for run in runs]


def _joined(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

"""Resuming a run: its state must be of the same recipe, network, classes and weights; changed data are told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import hyperseg
from hyperseg.data import CachedDataset, Classes, ConcatDataset, Dataset
from hyperseg.data.dataset import LabelledImages
from hyperseg.data.label_values import OwnLabels
from hyperseg.training.checkpoint import StateError, read_state
from hyperseg.training.recipe import INITIAL, Recipe, RecipeError, parse_recipe
from hyperseg.training.splits import Part, TrainingData
from hyperseg.training.start import Start, Weights, changed_entries, configuration

_ELSE = "use another --out, or --force to start again"


def earlier_state(path: Path, recipe: Recipe) -> dict[str, Any]:
    """Read the state of a run.

    Raises:
        StateError: it cannot be read, or is of another recipe.
    """
    state = read_state(path)
    try:
        same = parse_recipe(state.get("request", {})) == recipe
    except RecipeError:
        same = False
    if not same:
        raise StateError(f"{path} was made with another recipe; {_ELSE}")
    missing = [key for key in ("recipe", "config", "start", "model", "optimiser", "iteration") if key not in state]
    if missing:
        raise StateError(f"{path} lacks {', '.join(missing)}, and is not the state of a training run; {_ELSE}")
    return state


def resumed(path: Path, state: Mapping[str, Any], classes: Classes | None, weights: Weights) -> tuple[Recipe, Start]:
    """Recipe and network of a state, whose weights `Trainer.restore` sets. The colours are those of `classes`.

    Args:
        path: the state's file, for messages.
        state: what `earlier_state` read.
        classes: those of the data; None for the ones that the recipe's network has.
        weights: files that the command names, if any.

    Raises:
        StateError: the run has other classes, another network, or began with other weights.
    """
    start = state["start"]
    began = start.get("weights")  # states of earlier versions lack it
    _check_weights(path, began, weights)
    recipe = parse_recipe(state["recipe"])
    config = hyperseg.Config.from_dict(state["config"])
    if classes is not None:
        _check_classes(path, config.classes.names, classes.names)
        if config.palette is not None and config.palette != classes.palette:
            config = config.replace(palette=classes.palette)
    reasons = _other_network(recipe, config, classes, began is None or began["init"] is not None)
    if reasons:
        raise StateError(f"{path} is of another network than the recipe's: {'; '.join(reasons)}; {_ELSE}")
    backbone, taken = (frozenset(start[key]) for key in ("backbone", "taken"))
    return recipe, Start(hyperseg.create(config), backbone, taken, weights=_weights(began or {}))


def _check_classes(path: Path, ours: Sequence[str], theirs: Sequence[str]) -> None:
    if tuple(ours) == tuple(theirs):
        return
    gone, new = [name for name in ours if name not in theirs], [name for name in theirs if name not in ours]
    changes = [
        *([f"{_listed(gone)} {'is' if len(gone) == 1 else 'are'} gone"] if gone else []),
        *([f"{_listed(new)} {'is' if len(new) == 1 else 'are'} new"] if new else []),
    ]
    change = " and ".join(changes) or "their order is another"
    raise StateError(
        f"the classes of the data are not those of the run in {path.parent}: {change}; {_ELSE}, for example by "
        f"--init {path.with_name('last.pth')}, which takes what fits"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _other_network(recipe: Recipe, config: hyperseg.Config, classes: Classes | None, fitted: bool) -> list[str]:
    """How the network of a state differs from the recipe's, whose file may have changed; `fitted` to `--init`."""
    if recipe.network == INITIAL:
        return []
    try:
        named = configuration(recipe, classes, None)
    except RecipeError:  # its file is gone: the state has the network
        return []
    return changed_entries(config, named, fitted)


def weights_table(weights: Weights) -> dict[str, str | None]:
    """Files of weights as a state keeps them; paths do not depend on the working folder."""
    return {entry.name: _place(getattr(weights, entry.name)) for entry in fields(weights)}


def _place(value: str | Path | None) -> str | None:
    if value is None:
        return None
    # A name without suffix that is no file is a model of the package.
    return str(value) if not Path(value).suffix and not Path(value).exists() else os.path.realpath(value)


def _weights(table: Mapping[str, str | None]) -> Weights:
    weights, backbone = (table.get(name) for name in ("weights", "backbone"))
    return Weights(table.get("init"), Path(weights) if weights else None, Path(backbone) if backbone else None)


def _check_weights(path: Path, began: Mapping[str, str | None] | None, given: Weights) -> None:
    """A resumed run reads no weights: the command may leave them out, but not name others."""
    for name, value in weights_table(given).items():
        if value is not None and began is not None and began[name] != value:
            option = {"init": "--init", "weights": "--weights", "backbone": "--backbone-weights"}[name]
            before = f"without {option}" if began[name] is None else f"with {option} {began[name]}"
            raise StateError(
                f"the run in {path.parent} began {before}, and not with {value}; leave {option} out to resume it, or "
                f"{_ELSE}"
            )


def data_table(data: TrainingData) -> dict[str, str]:
    """What a state keeps of its data: the number of images of each part, and a hash of their names and label values."""
    return {name: _summary(getattr(data, name)) for name in ("train", "late", "validation")}


def data_changes(before: Mapping[str, str] | None, data: TrainingData) -> str | None:
    """A sentence on what has changed since a state was written; None if nothing has, or it is not known."""
    now = data_table(data)
    if before is None or before == now:
        return None
    parts = [
        f"{name} {before[name].partition(' ')[0]} images, now {now[name].partition(' ')[0]}"
        for name in ("train", "validation")
        if before[name] != now[name]
    ]
    return (
        "warning: the images or the values of the labels are not those that the run began with "
        f"({'; '.join(parts) or 'late splits'}); it continues with the ones that are there now"
    )


def _summary(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for part in _described(dataset):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return f"{len(dataset)} {digest.hexdigest()[:16]}"


def _described(dataset: Dataset) -> Iterator[str]:
    match dataset:
        case CachedDataset():
            yield from _described(dataset.source)
        case Part():
            yield from _described(dataset.source)
            yield str(dataset.indices)
        case ConcatDataset():
            for part in dataset.parts:
                yield from _described(part)
        case LabelledImages():
            if isinstance(dataset.read_label, OwnLabels):
                about = dataset.read_label.description
                colours = about.classes.palette if about.coloured else ()
                yield repr((about.values, about.void, colours, about.void_colours, about.label_kind))
            yield from (pair.name for pair in dataset.pairs)
        case _:
            yield type(dataset).__name__

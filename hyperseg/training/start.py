"""Start of a run: its network with initial weights, from a checkpoint, an ONNX file, ImageNet or at random."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import hyperseg
from hyperseg.checkpoint.onnx_file import load_onnx, shipped_file, shipped_names
from hyperseg.checkpoint.states import Note, one_line
from hyperseg.checkpoint.transfer import Transfer, adapted, transfer
from hyperseg.classes import Classes
from hyperseg.errors import CheckpointError
from hyperseg.training.recipe import INITIAL, Recipe, RecipeError

RANDOM = (
    "warning: no initial weights: training starts at random, which needs many more images and iterations for the same "
    "accuracy. Give --init camvid-lite (the shipped model, recipe finetune), or --backbone-weights FILE "
    "(docs/training.md says where ImageNet files come from)"
)

_OF_CLASSES = frozenset({"num_classes", "class_names", "palette", "dataset", "resolution"})
_DERIVED = frozenset({"signal_channels", "mapper_rows", "unify_level", "weight_groups"})
"""Fields in which a network and the same network for other classes differ, see `adapted`."""


@dataclass(frozen=True)
class Weights:
    """Files of weights that a run may start from; one at most.

    Attributes:
        init: checkpoint, or name of a shipped model, to fine-tune: what fits is taken.
        weights: checkpoint of the same network.
        backbone: ImageNet weights of the backbone.
    """

    init: str | None = None
    weights: Path | None = None
    backbone: Path | None = None


@dataclass(frozen=True)
class Start:
    """A network with its initial weights.

    Attributes:
        model: the network.
        backbone: names of its pre-trained backbone entries.
        taken: names of all entries that `--init` took.
        folded: whether its BatchNorms lack the statistics of their inputs (`hyperseg.training.calibration`).
        message: what was taken and what was not; None where the command says it.
        weights: the files that they came from.
    """

    model: hyperseg.HyperSeg
    backbone: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    folded: bool = False
    message: str | None = None
    weights: Weights = field(default_factory=Weights)


@dataclass(frozen=True)
class Initial:
    """The network that `--init` names."""

    model: hyperseg.HyperSeg
    origin: str
    folded: bool


def open_initial(name: str, note: Note | None = None) -> Initial:
    """Open what `--init` names: a checkpoint, an ONNX file of hyperseg-export, or a model that ships with the package.

    Raises:
        CheckpointError: there is no such file or model, or it cannot be read.
    """
    path = Path(name)
    file = shipped_file(name)
    if file is not None and not path.is_file():
        return Initial(load_onnx(file), name, folded=True)
    if not path.exists() and not path.suffix:
        raise CheckpointError(f"--init {name} is neither a file nor a shipped model ({', '.join(shipped_names())})")
    if path.suffix == ".onnx":
        return Initial(load_onnx(path), path.name, folded=True)
    return Initial(hyperseg.load(path, note=note), path.name, folded=False)


def configuration(
    recipe: Recipe, classes: Classes | None, initial: Initial | None, note: Note | None = None
) -> hyperseg.Config:
    """Configuration of the network to train, at the resolution of the recipe if that is chosen already.

    Args:
        recipe: names the network.
        classes: those of the data; None for the ones that the network has.
        initial: the network of `--init`.
        note: receives a sentence where the number of classes is not that of the recipe's network.

    Raises:
        RecipeError: the recipe names no network that can be built.
    """
    if recipe.network == INITIAL:
        if initial is None:
            raise RecipeError("this recipe trains the network of a checkpoint: give --init camvid-lite, or --init FILE")
        config = _for(initial.model.config, classes)
    else:
        config = _named(recipe.network)
        if classes is not None and len(classes) != config.num_classes and note is not None:
            names = ", ".join(classes.names[:6]) + (", ..." if len(classes) > 6 else "")
            count = config.num_classes
            note(f"{recipe.network} with the data set's {len(classes)} classes instead of {count}: {names}")
        if initial is not None and not _differences(initial.model.config, config, _OF_CLASSES | _DERIVED):
            config = _for(initial.model.config.replace(resolution=config.resolution), classes or config.classes)
        elif classes is not None:
            config = config.with_classes(classes)
    return at_resolution(config, recipe.resolution) if recipe.resolution else config


def create_start(config: hyperseg.Config, weights: Weights, initial: Initial | None, note: Note | None = None) -> Start:
    """Create the network with its initial weights.

    Raises:
        CheckpointError: a file of weights that cannot be read, or is of another network.
    """
    model = hyperseg.create(config)
    if initial is not None:
        try:
            found: Transfer = transfer(initial.model, model)
        except CheckpointError as error:
            raise CheckpointError(one_line(Path(initial.origin), error)) from None
        backbone = found.taken & _backbone(model)
        return Start(model, backbone, found.taken, initial.folded, found.describe(initial.origin), weights)
    if weights.weights is not None:
        loaded = hyperseg.load(weights.weights, note=note)
        same_names = loaded.config.classes.names == config.classes.names
        ignored = {"resolution", "dataset", "palette"} | ({"class_names"} if same_names else set())
        reasons = _differences(loaded.config, config, ignored)
        if reasons:
            raise CheckpointError(
                f"{weights.weights} is not the network to train: {'; '.join(reasons)}. --weights continues the same "
                f"network; --init {weights.weights} takes what fits"
            )
        model.load_state_dict(loaded.state_dict())
        return Start(model, _backbone(model), weights=weights)
    if weights.backbone is not None:
        hyperseg.load_backbone_weights(model, weights.backbone, note=note)
        return Start(model, _backbone(model), weights=weights)
    return Start(model, message=RANDOM)


def at_resolution(config: hyperseg.Config, resolution: tuple[int, ...]) -> hyperseg.Config:
    """The configuration at another (height, width).

    Raises:
        RecipeError: one of them is no multiple of the network's unit.
    """
    height, width = resolution
    if height < 1 or width < 1 or height % config.unit or width % config.unit:
        raise RecipeError(f"resolution is {list(resolution)}; both must be multiples of {config.unit} for this network")
    return config.replace(resolution=(height, width))


def changed_entries(theirs: hyperseg.Config, ours: hyperseg.Config, fitted: bool) -> list[str]:
    """The entries in which a trained network differs from a recipe's, a sentence each; colours are no difference.

    Of a network that was `fitted` to one of other classes, those that `adapted` sets do not count.
    """
    return _differences(theirs, ours, {"palette", "dataset"} | (_DERIVED if fitted else set()))


def _for(config: hyperseg.Config, classes: Classes | None) -> hyperseg.Config:
    return config if classes is None or config.classes == classes else adapted(config, classes)


def _named(network: str) -> hyperseg.Config:
    """Load the configuration of a preset, or of a JSON file written from `Config.to_dict`."""
    if not network.endswith(".json"):
        return hyperseg.preset(network)
    try:
        return hyperseg.Config.from_dict(json.loads(Path(network).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RecipeError(f"network {network} is not a configuration: {error}") from None


def _differences(theirs: hyperseg.Config, ours: hyperseg.Config, ignored: Iterable[str]) -> list[str]:
    """List the fields in which two networks differ, theirs first."""
    listed = []
    for entry in fields(theirs):
        one, other = getattr(theirs, entry.name), getattr(ours, entry.name)
        if one != other and entry.name not in ignored:
            name = "classes" if entry.name == "num_classes" else entry.name
            listed.append(f"{name} {_short(one)} and not {_short(other)}")
    return listed


def _short(value: Any) -> str:
    value = getattr(value, "value", value)
    text = ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _backbone(model: hyperseg.HyperSeg) -> frozenset[str]:
    """Names of the backbone's entries, without the reductions that HyperSeg adds to its features."""
    return frozenset(n for n in model.state_dict() if n.startswith("backbone.") and ".reduce." not in n)

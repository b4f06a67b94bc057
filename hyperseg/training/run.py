"""Training run: sets up data, network, trainer and report from a recipe, as `hyperseg-train` does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

import hyperseg
from hyperseg.checkpoint.states import Note
from hyperseg.data import CachedDataset, Classes, ConcatDataset, Dataset, find_own, open_split
from hyperseg.errors import CheckpointError
from hyperseg.training.checkpoint import StateError
from hyperseg.training.distributed import DistributedContext, distributed_context
from hyperseg.training.recipe import Data, Recipe, RecipeError
from hyperseg.training.report import Listener, Report
from hyperseg.training.trainer import Trainer, TrainingData


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that do not affect what its recipe computes.

    Attributes:
        data: folder of the dataset.
        out: folder for the state, models and reports.
        backbone_weights: ImageNet weights of the backbone.
        weights: checkpoint of the same network to start from, instead of backbone weights.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of PyTorch.
        workers: threads that create batches.
        force: discard an earlier run in `out`.
        stop_after: iteration to stop at.
    """

    data: Path
    out: Path
    backbone_weights: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    threads: int | None = None
    workers: int = 1
    force: bool = False
    stop_after: int | None = None


def train(recipe: Recipe, options: RunOptions, listener: Listener | None = None, note: Note | None = None) -> Path:
    """Train and return the path of the best model; resumes a run that was stopped in the same folder.

    `note` receives a sentence where a file of weights left a choice, in the main process; see `hyperseg.load`.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    with distributed_context(options.device) as context:
        data = open_data(recipe.data, options.data)
        _prepare_folder(options, context)
        torch.manual_seed(recipe.seed)
        model, pretrained = create_network(recipe, options, note if context.is_main else _ignore)
        _check_classes(recipe, model.config, data)
        trainer = Trainer(recipe, model, pretrained, data, options.out, context)
        trainer.restore()
        with _report(options.out, trainer.iteration, listener if context.is_main else None, context) as report:
            trainer.run(report, options.stop_after, options.workers)
    return options.out / "best.pth"


def open_data(data: Data, root: Path) -> TrainingData:
    """Open the splits that a recipe names, each with one cache."""
    opened: dict[str, Dataset] = {}
    for split in (*data.train, *data.late, data.validate):
        if split not in opened:
            opened[split] = CachedDataset(open_split(data.layout, root, split))

    def joined(names: tuple[str, ...]) -> Dataset:
        parts = tuple(opened[name] for name in names)
        return parts[0] if len(parts) == 1 else ConcatDataset(parts)

    return TrainingData(joined(data.train), joined((*data.train, *data.late)), opened[data.validate])


def _ignore(text: str) -> None:
    del text


def create_network(
    recipe: Recipe, options: RunOptions, note: Note | None = None
) -> tuple[hyperseg.HyperSeg, frozenset[str]]:
    """Create a recipe's network with its initial weights; also return the names of the pre-trained entries.

    Raises:
        CheckpointError: a file of weights that cannot be read, or is of another network.
        RecipeError: the recipe names no network that can be built.
    """
    config = _configuration(recipe.network)
    if recipe.resolution:
        config = _at_resolution(config, recipe.resolution)
    own = find_own(options.data)
    if own is not None:
        config = _for_own_classes(config, own.classes, recipe.network, note or _ignore)
    model = hyperseg.create(config)
    if options.weights is not None:
        loaded = hyperseg.load(options.weights, note=note)
        if loaded.config.replace(resolution=config.resolution) != config:
            raise CheckpointError(f"{options.weights} is not a {recipe.network} network, which the recipe trains")
        model.load_state_dict(loaded.state_dict())
        return model, _pretrained(model)
    if options.backbone_weights is not None:
        hyperseg.load_backbone_weights(model, options.backbone_weights, note=note)
        return model, _pretrained(model)
    return model, frozenset()


def _discard_run(folder: Path) -> None:
    """Delete the files of a run, and no others."""
    for pattern in ("last.pt", "last.pth", "best.pth", "log.jsonl", "predictions-*.png"):
        for path in folder.glob(pattern):
            path.unlink()
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def _configuration(network: str) -> hyperseg.Config:
    """Load the configuration of a preset, or of a JSON file written from `Config.to_dict`."""
    if not network.endswith(".json"):
        return hyperseg.preset(network)
    try:
        return hyperseg.Config.from_dict(json.loads(Path(network).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RecipeError(f"network {network} is not a configuration: {error}") from None


def _at_resolution(config: hyperseg.Config, resolution: tuple[int, ...]) -> hyperseg.Config:
    height, width = resolution
    if height < 1 or width < 1 or height % config.unit or width % config.unit:
        raise RecipeError(f"resolution is {list(resolution)}; both must be multiples of {config.unit} for this network")
    return config.replace(resolution=(height, width))


def _check_classes(recipe: Recipe, config: hyperseg.Config, data: TrainingData) -> None:
    count = len(data.train.classes)
    if count > config.num_classes:
        raise RecipeError(
            f"the labels of layout {recipe.data.layout.value} have {count} classes, the network {recipe.network} has "
            f"{config.num_classes}; name a network with {count}, or another layout (--layout)"
        )


def _for_own_classes(config: hyperseg.Config, classes: Classes, network: str, note: Note) -> hyperseg.Config:
    if len(classes) != config.num_classes:
        names = ", ".join(classes.names[:6]) + (", ..." if len(classes) > 6 else "")
        note(f"{network} with the data set's {len(classes)} classes instead of {config.num_classes}: {names}")
    return config.with_classes(classes)


def _pretrained(model: hyperseg.HyperSeg) -> frozenset[str]:
    """Names of the backbone's entries, without the reductions that HyperSeg adds to its features."""
    return frozenset(n for n in model.state_dict() if n.startswith("backbone.") and ".reduce." not in n)


def _prepare_folder(options: RunOptions, context: DistributedContext) -> None:
    if context.is_main:
        try:
            if options.force:
                _discard_run(options.out)
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the folder {options.out} cannot be used: {error.strerror or error}") from error
    context.barrier()


@contextmanager
def _report(
    folder: Path, iteration: int, listener: Listener | None, context: DistributedContext
) -> Iterator[Report | None]:
    if not context.is_main:
        yield None
        return
    report = Report(folder, iteration, listener)
    try:
        yield report
    finally:
        report.close()

"""From a recipe and folders to a running trainer: what `hyperseg-train` does behind its options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

import hyperseg
from hyperseg.data import Cached, ConcatDataset, DataSet, open_split
from hyperseg.errors import CheckpointError
from hyperseg.training.checkpoint_file import StateError
from hyperseg.training.distributed import DistributedContext, join_team
from hyperseg.training.recipe import Data, Recipe, RecipeError
from hyperseg.training.report import Listener, Report
from hyperseg.training.trainer import Pictures, Trainer


@dataclass(frozen=True)
class Start:
    """Where a run reads and writes.

    `weights` is a checkpoint that training starts from; else `backbone_weights`, the backbone's ImageNet weights; else
    everything starts at random. `workers` threads make the batches ahead. `force` discards what an earlier run left
    in `out`.
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


def train(recipe: Recipe, start: Start, listener: Listener | None = None) -> Path:
    """Train to the end and return the path of the best model; continues a run that was stopped in the same folder."""
    if start.threads:
        torch.set_num_threads(start.threads)
    with join_team(start.device) as team:
        pictures = open_pictures(recipe.data, start.data)
        _prepare_folder(start, team)
        torch.manual_seed(recipe.seed)
        model, pretrained = _network(recipe, start)
        trainer = Trainer(recipe, model, pretrained, pictures, start.out, team)
        trainer.restore()
        with _report(start.out, trainer.iteration, listener if team.leads else None, team) as report:
            trainer.run(report, start.stop_after, start.workers)
    return start.out / "best.pth"


def open_pictures(data: Data, root: Path) -> Pictures:
    """Open the splits that a recipe names, each read from the disk once."""
    opened: dict[str, DataSet] = {}
    for split in (*data.train, *data.late, data.validate):
        if split not in opened:
            opened[split] = Cached(open_split(data.layout, root, split))

    def joined(names: tuple[str, ...]) -> DataSet:
        parts = tuple(opened[name] for name in names)
        return parts[0] if len(parts) == 1 else ConcatDataset(parts)

    return Pictures(joined(data.train), joined((*data.train, *data.late)), opened[data.validate])


def _network(recipe: Recipe, start: Start) -> tuple[hyperseg.HyperSeg, frozenset[str]]:
    config = _configuration(recipe.network)
    if recipe.resolution:
        config = _at_resolution(config, recipe.resolution)
    model = hyperseg.create(config)
    if start.weights is not None:
        loaded = hyperseg.load(start.weights)
        if loaded.config.replace(resolution=config.resolution) != config:
            raise CheckpointError(f"{start.weights} is not a {recipe.network} network, which the recipe trains")
        model.load_state_dict(loaded.state_dict())
        return model, _pretrained(model)
    if start.backbone_weights is not None:
        hyperseg.load_backbone_weights(model, start.backbone_weights)
        return model, _pretrained(model)
    return model, frozenset()


def _discard_run(folder: Path) -> None:
    """Delete what a run writes, and nothing else that may lie beside it."""
    for pattern in ("last.pt", "last.pth", "best.pth", "log.jsonl", "predictions-*.png"):
        for path in folder.glob(pattern):
            path.unlink()
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def _configuration(network: str) -> hyperseg.Config:
    """The configuration of a preset, or from a JSON file of `Config.to_dict`."""
    if not network.endswith(".json"):
        return hyperseg.preset(network)
    try:
        return hyperseg.Config.from_dict(json.loads(Path(network).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RecipeError(f"network {network} is no configuration: {error}") from None


def _at_resolution(config: hyperseg.Config, resolution: tuple[int, ...]) -> hyperseg.Config:
    height, width = resolution
    if height < 1 or width < 1 or height % config.unit or width % config.unit:
        raise RecipeError(f"resolution is {list(resolution)}; both must be multiples of {config.unit} for this network")
    return config.replace(resolution=(height, width))


def _pretrained(model: hyperseg.HyperSeg) -> frozenset[str]:
    """The entries of the backbone proper, without the reductions that HyperSeg adds to its features."""
    return frozenset(n for n in model.state_dict() if n.startswith("backbone.") and ".reduce." not in n)


def _prepare_folder(start: Start, team: DistributedContext) -> None:
    if team.leads:
        try:
            if start.force:
                _discard_run(start.out)
            start.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"the folder {start.out} cannot be used: {error.strerror or error}") from error
    team.wait()


@contextmanager
def _report(
    folder: Path, iteration: int, listener: Listener | None, team: DistributedContext
) -> Iterator[Report | None]:
    if not team.leads:
        yield None
        return
    report = Report(folder, iteration, listener)
    try:
        yield report
    finally:
        report.close()

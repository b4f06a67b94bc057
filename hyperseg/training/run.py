"""Training run: sets up data, network, trainer and report from a recipe, as `hyperseg-train` does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

import hyperseg
from hyperseg.checkpoint.states import Note
from hyperseg.data import Classes, find_own
from hyperseg.training.checkpoint import StateError
from hyperseg.training.distributed import DistributedContext, distributed_context
from hyperseg.training.fit import fit, typical, with_iterations
from hyperseg.training.preparation import calibrate_start, fit_memory, iterations_within, memory_errors
from hyperseg.training.recipe import INITIAL, Recipe, RecipeError
from hyperseg.training.report import Listener, Report
from hyperseg.training.resume import data_changes, earlier_state, resumed
from hyperseg.training.splits import TrainingData, open_data
from hyperseg.training.start import Start, Weights, configuration, create_start, open_initial
from hyperseg.training.trainer import Trainer


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that do not affect what its recipe computes.

    Attributes:
        data: folder of the dataset.
        out: folder for the state, models and reports.
        weights: files that the network starts from; a resumed run does not read them again.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of PyTorch.
        workers: threads that create batches.
        force: discard an earlier run in `out`.
        stop_after: iteration to stop at.
    """

    data: Path
    out: Path
    weights: Weights = field(default_factory=Weights)
    device: str = "auto"
    threads: int | None = None
    workers: int = 1
    force: bool = False
    stop_after: int | None = None


def train(recipe: Recipe, options: RunOptions, listener: Listener | None = None, note: Note | None = None) -> Path:
    """Train and return the path of the best model; resumes a run that was stopped in the same folder.

    `note` receives a sentence where something was chosen or is worth a warning, in the main process.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    with distributed_context(options.device) as context:
        notes = _Notes(note if context.is_main else None)
        data = open_data(recipe.data, recipe.seed, options.data, notes)
        path = options.out / "last.pt"
        state = earlier_state(path, recipe) if path.exists() and not options.force else None
        torch.manual_seed(recipe.seed)
        if state is None:
            fitted, start = begin(recipe, options, data, notes)
        else:
            fitted, start = resumed(path, state, _own_classes(recipe, options, data), options.weights)
        _check_classes(fitted, start.model.config, data)
        _check_crops(fitted, start.model.config)
        if start.message is not None:
            notes(start.message)
        with memory_errors(context):
            calibrate_start(start, data.train, context)
            trainer = Trainer(fitted, start, data, options.out, context, recipe, notes)
            if state is not None:
                trainer.restore(state)
            fit_memory(trainer, notes)
        if state is None and "optimiser.iterations" in recipe.automatic:
            _announce(recipe, trainer, notes)
        _prepare_folder(options, context)
        with _report(options.out, trainer, listener, context) as report:
            notes.attach(report, trainer)
            changes = data_changes(state.get("data"), data) if state is not None else None
            if changes is not None:
                notes(changes)
            trainer.run(report, options.stop_after, options.workers)
    return options.out / "best.pth"


def begin(recipe: Recipe, options: RunOptions, data: TrainingData, note: Note) -> tuple[Recipe, Start]:
    """Choose the automatic entries of a recipe for the data, and create its network with the initial weights.

    Raises:
        CheckpointError: a file of weights that cannot be read, or is of another network.
        RecipeError: the recipe names no network that can be built.
    """
    initial = open_initial(options.weights.init, note) if options.weights.init is not None else None
    classes = _own_classes(recipe, options, data)
    config = configuration(recipe, classes, initial, note)
    fitted = fit(recipe, typical(data.train), config.unit) if recipe.automatic else recipe
    config = configuration(fitted, classes, initial, note=None)
    return fitted, create_start(config, options.weights, initial, note)


def _own_classes(recipe: Recipe, options: RunOptions, data: TrainingData) -> Classes | None:
    """The classes that the network gets from the data; None where the recipe's network has its own."""
    return data.train.classes if recipe.network == INITIAL or find_own(options.data) is not None else None


def _announce(recipe: Recipe, trainer: Trainer, note: Note) -> None:
    """Set as many iterations as the recipe's minutes allow, if it has any, and tell what was chosen."""
    fitted = trainer.recipe
    if recipe.minutes:
        waiting = tuple(key for key in recipe.automatic if key not in ("resolution", "crops"))
        chosen = iterations_within(recipe.minutes * 60, trainer)
        trainer.set_recipe(with_iterations(replace(fitted, automatic=waiting), chosen))
    height, width = trainer.config.resolution
    note(
        f"{trainer.recipe.optimiser.iterations} iterations of {trainer.recipe.batch} images at {height}x{width}"
        + (f" in about {recipe.minutes:g} minutes" if recipe.minutes else "")
    )


class _Notes:
    """Passes sentences on, and keeps them for the log."""

    def __init__(self, note: Note | None) -> None:
        self._note = note
        self._waiting: list[str] = []
        self._report: Report | None = None
        self._trainer: Trainer | None = None

    def __call__(self, text: str) -> None:
        if self._report is None or self._trainer is None:
            self._waiting.append(text)
        else:
            self._report.note(self._trainer.iteration, text)
        if self._note is not None:
            self._note(text)

    def attach(self, report: Report | None, trainer: Trainer) -> None:
        """Write into the log from now on; what came before belongs to a new run, and is known of a resumed one."""
        self._report, self._trainer = report, trainer
        if report is not None and not trainer.iteration:
            for text in self._waiting:
                report.note(0, text)


def _check_classes(recipe: Recipe, config: hyperseg.Config, data: TrainingData) -> None:
    count = len(data.train.classes)
    if count > config.num_classes:
        raise RecipeError(
            f"the labels of layout {recipe.data.layout.value} have {count} classes, the network {recipe.network} has "
            f"{config.num_classes}; name a network with {count}, or another layout (--layout)"
        )


def _check_crops(recipe: Recipe, config: hyperseg.Config) -> None:
    for index, crop in enumerate(recipe.crops):
        if min(crop.height, crop.width) < 1 or crop.height % config.unit or crop.width % config.unit:
            raise RecipeError(
                f"crops[{index}] is {crop.height}x{crop.width} (height x width); both must be multiples of "
                f"{config.unit} for this network"
            )


def _discard_run(folder: Path) -> None:
    """Delete the files of a run, and no others."""
    for pattern in ("last.pt", "last.pth", "best.pth", "log.jsonl", "predictions-*.png"):
        for path in folder.glob(pattern):
            path.unlink()
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


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
    folder: Path, trainer: Trainer, listener: Listener | None, context: DistributedContext
) -> Iterator[Report | None]:
    if not context.is_main:
        yield None
        return
    report = Report(folder, trainer.iteration, trainer.recipe.optimiser.iterations, listener)
    try:
        yield report
    finally:
        report.close()

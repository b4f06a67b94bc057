"""`hyperseg-train`: train a network by a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hyperseg.cli.common import one_line_errors

EXAMPLES = """
\b
Examples:
  hyperseg-train camvid-lite --data camvid --out runs/lite --backbone-weights efficientnet-lite1.pth
  hyperseg-train camvid-lite --data camvid --out runs/lite            (again: continues where it stopped)
  hyperseg-train my.toml --data camvid --out runs/mine --set batch=8 --set optimiser.iterations=2000
  torchrun --nproc-per-node 4 -m hyperseg.cli.train cityscapes-m --data cityscapes --out runs/m
"""


@click.command(epilog=EXAMPLES)
@click.argument("recipe")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the data set.")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Folder for checkpoints and logs.")
@click.option("--backbone-weights", type=click.Path(path_type=Path), help="ImageNet weights of the backbone (a file).")
@click.option("--weights", type=click.Path(path_type=Path), help="Start from this checkpoint of the same network.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override an entry of the recipe.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each process.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that make batches.")
@click.option("--stop-after", type=click.IntRange(min=1), metavar="N", help="Stop at iteration N.")
@click.option("--force", is_flag=True, help="Start again: delete the run in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print every record as a line of JSON.")
@one_line_errors
def main(
    recipe: str,
    data: Path,
    out: Path,
    backbone_weights: Path | None,
    weights: Path | None,
    overrides: tuple[str, ...],
    device: str,
    threads: int | None,
    workers: int,
    stop_after: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Train by RECIPE: the name of one that comes with the package, or a .toml file.

    A run that was stopped, however it was stopped, continues when the same command is given again.
    """
    from hyperseg.training.recipe_file import load_recipe

    loaded = load_recipe(recipe, overrides)
    from hyperseg.training.start import Start, train

    start = Start(data, out, backbone_weights, weights, device, threads, workers, force, stop_after)
    if as_json:
        train(loaded, start, lambda record: click.echo(json.dumps(record)))
        return
    with _progress(loaded.optimiser.iterations) as listener:
        best = train(loaded, start, listener)
    click.echo(f"best model: {best}" if best.exists() else f"stopped at iteration {stop_after}; state in {out}")


@contextmanager
def _progress(iterations: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A bar with rate, time left and the scores so far; silent unless a person watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=iterations)
        shown = {"loss": "", "mean_iou": ""}

        def listen(record: Mapping[str, Any]) -> None:
            if "loss" in record:
                shown["loss"] = f"loss {record['loss']:.3f}, {record['rate']:.2f} it/s"
            if "mean_iou" in record:
                shown["mean_iou"] = f", mIoU {100 * record['mean_iou']:.1f} %"
            progress.update(task, completed=record["iteration"], description="".join(shown.values()))

        yield listen


if __name__ == "__main__":
    main()

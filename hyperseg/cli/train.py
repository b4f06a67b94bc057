"""`hyperseg-train`: trains a network by a recipe."""

from __future__ import annotations

import functools
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

EXAMPLES = """
\b
Examples:
  hyperseg-train camvid-lite --data camvid --out runs/lite --backbone-weights efficientnet-lite1.pth
  hyperseg-train camvid-lite --data camvid --out runs/lite            # the same again: resumes
  hyperseg-train my.toml --data camvid --out runs/mine --set batch=8 --set optimiser.iterations=2000
  torchrun --nproc-per-node 4 -m hyperseg.cli.train cityscapes-m --data cityscapes --out runs/m
"""


def _one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Report errors that users can fix as one line on stderr with exit code 1; `--debug` lets them through."""

    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **options: Any) -> None:
        _interrupt_on_signals()
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            sys.exit(130)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            if debug:
                raise
            name = click.get_current_context().info_name
            text = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, ModuleNotFoundError):
                text = (
                    f'training needs {error.name}, which this installation does not have; pip install "hyperseg[train]"'
                )
            click.echo(f"{name}: error: {text}", err=True)
            sys.exit(1)

    return wrapped


def _interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does, so that no draft of a file stays behind.

    An ignored SIGHUP stays ignored, as under nohup.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@click.command(epilog=EXAMPLES)
@click.argument("recipe")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Folder for checkpoints and logs.")
@click.option("--backbone-weights", type=click.Path(path_type=Path), help="File of ImageNet weights for the backbone.")
@click.option("--weights", type=click.Path(path_type=Path), help="Checkpoint of the same network to start from.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override an entry of the recipe.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each process.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that create batches."
)
@click.option("--stop-after", type=click.IntRange(min=1), metavar="N", help="Stop at iteration N.")
@click.option("--force", is_flag=True, help="Delete the run in --out and start again.")
@click.option("--json", "as_json", is_flag=True, help="Print every record as a line of JSON.")
@click.version_option(package_name="hyperseg", message="%(prog)s %(version)s", help="Show the version.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@_one_line_errors
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
    """Train by RECIPE: the name of a recipe in the package, or a .toml file.

    A run that was interrupted resumes when the same command is given again.
    """
    from hyperseg.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    from hyperseg.training.run import RunOptions, train

    options = RunOptions(data, out, backbone_weights, weights, device, threads, workers, force, stop_after)
    if as_json:
        train(loaded, options, lambda record: click.echo(json.dumps(record)))
        return
    with _progress(loaded.optimiser.iterations) as listener:
        best = train(loaded, options, listener)
    click.echo(f"best model: {best}" if best.exists() else f"stopped at iteration {stop_after}; state in {out}")


@contextmanager
def _progress(iterations: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Progress bar with rate, remaining time and scores, if standard output is a terminal."""
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

"""`hyperseg-train`: trains a network by a recipe."""

from __future__ import annotations

import functools
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from hyperseg.text import escaped

EXAMPLES = """
\b
Examples:
  hyperseg-train finetune --data cups --out runs/cups --init camvid-lite   # the shipped model, to other classes
  hyperseg-train finetune --data cups --out runs/cups --init m.pth --set minutes=5
  hyperseg-train camvid-lite --data camvid --out runs/lite --backbone-weights efficientnet-lite1.pth
  hyperseg-train camvid-lite --data camvid --out runs/lite            # the same again: resumes
  hyperseg-train --check --data mine                              # reads a data set of one's own (dataset.toml) first
  hyperseg-train my.toml --data camvid --out runs/mine --set batch=8 --set optimiser.iterations=2000
  hyperseg-train camvid-lite --data street --out runs/more --weights m.pt  # further training of a network
  torchrun --nproc-per-node 4 -m hyperseg.cli.train cityscapes-m --data cityscapes --out runs/m

\b
Recipes in the package: finetune (of --init), camvid-lite (the shipped model), camvid-s, camvid-l, cityscapes-m,
cityscapes-s, voc-l.
"""

LAYOUTS = ("camvid", "camvid-701-11", "camvid-701-12", "cityscapes", "voc", "own")


class _Command(click.Command):
    """Reports wrong usage as the project's other commands do: one line on stderr, exit code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            name = context.info_name if context is not None else "hyperseg-train"
            click.echo(f"{name}: error: {' '.join(error.format_message().split())} (see {name} --help)", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("hyperseg-train: error: interrupted", err=True)
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)


def _one_line_errors(command: Callable[..., int]) -> Callable[..., int]:
    """Report errors that users can fix as one line on stderr with exit code 1; `--debug` lets them through."""

    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **options: Any) -> int:
        _interrupt_on_signals()
        try:
            return command(*args, **options)
        except KeyboardInterrupt:
            name = click.get_current_context().info_name
            resumes = "" if options["check"] else "; the same command resumes the run"
            click.echo(f"{name}: error: interrupted{resumes}", err=True)
            sys.exit(130)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            if debug:
                raise
            name = click.get_current_context().info_name
            text = escaped(" ".join(str(error).split())) or type(error).__name__
            if isinstance(error, ModuleNotFoundError):
                text = (
                    f'training needs {error.name}, which this installation does not have; pip install "hyperseg[train]"'
                )
            click.echo(f"{name}: error: {text}", err=True)
            sys.exit(1)
        except click.ClickException:
            raise
        except Exception as error:
            if debug:
                raise
            name = click.get_current_context().info_name
            text = " ".join(f"{type(error).__name__}: {error}".split())
            click.echo(f"{name}: error: {text}; this is a bug; --debug shows the traceback", err=True)
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


@click.command(cls=_Command, epilog=EXAMPLES)
@click.argument("recipe", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), help="Folder for checkpoints and logs; with --check as --sheet."
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    help="Layout of the dataset instead of the recipe's; a folder with dataset.toml needs none.",
)
@click.option("--check", is_flag=True, help="Train nothing: read all of --data, and report what would stop a training.")
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="PNG of overlays that --check writes; by default DATA.check.png."
)
@click.option("--backbone-weights", type=click.Path(path_type=Path), help="File of ImageNet weights for the backbone.")
@click.option("--weights", type=click.Path(path_type=Path), help="Checkpoint of the same network to start from.")
@click.option(
    "--init",
    metavar="CHECKPOINT",
    help="Network to fine-tune: a checkpoint, an exported .onnx file, or camvid-lite, the shipped model. What fits is "
    "taken; what belongs to other classes starts anew.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override an entry of the recipe.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each process.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that create batches."
)
@click.option("--stop-after", type=click.IntRange(min=1), metavar="N", help="Stop at iteration N.")
@click.option("--force", is_flag=True, help="Delete the run in --out and start again; --check: replace the sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print every record as a line of JSON.")
@click.version_option(package_name="hyperseg", message="%(prog)s %(version)s", help="Show the version.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@_one_line_errors
def main(
    recipe: str | None,
    data: Path | None,
    out: Path | None,
    layout: str | None,
    check: bool,
    sheet: Path | None,
    backbone_weights: Path | None,
    weights: Path | None,
    init: str | None,
    overrides: tuple[str, ...],
    device: str,
    threads: int | None,
    workers: int,
    stop_after: int | None,
    force: bool,
    as_json: bool,
) -> int:
    """Train a network by RECIPE: the name of a recipe in the package, or a .toml file.

    Writes best.pth and last.pth (networks, for hyperseg-export), last.pt (the state of the run) and log.jsonl into
    --out. A run that was interrupted resumes when the same command is given again.

    The classes of a folder with dataset.toml are those of the network, with their names and colours. --check needs no
    RECIPE; with one, the splits that it names must be there.
    """
    if data is None:
        raise _missing("data" if recipe is not None or check else "recipe")
    if check and recipe is None and overrides:
        raise click.UsageError("--set changes an entry of a recipe; name the RECIPE as well")
    if layout is not None:
        overrides = (*overrides, f"data.layout={layout}")
    if check:
        return _check(recipe, data, layout, sheet or out, overrides, force, as_json)
    if sheet is not None:
        raise click.UsageError("--sheet is a file that --check writes; give --check as well")
    if recipe is None or out is None:
        raise _missing("recipe" if recipe is None else "out")
    from hyperseg.training.recipe import load_recipe

    given = {"--init": init, "--weights": weights, "--backbone-weights": backbone_weights}
    several = [name for name, value in given.items() if value is not None]
    if len(several) > 1:
        raise click.UsageError(f"{' and '.join(several)}: give one of them, a network starts from one file")
    loaded = load_recipe(recipe, overrides)
    from hyperseg.training.run import RunOptions, train
    from hyperseg.training.start import Weights

    start = Weights(init, weights, backbone_weights)
    options = RunOptions(data, out, start, device, threads, workers, force, stop_after)

    def note(text: str) -> None:
        click.echo(text, err=True)

    if as_json:
        train(loaded, options, lambda record: click.echo(json.dumps(record)), note)
        return 0
    with _progress() as listener:
        best = train(loaded, options, listener, note)
    click.echo(f"best model: {best}" if best.exists() else f"stopped at iteration {stop_after}; state in {out}")
    return 0


def _missing(name: str) -> click.MissingParameter:
    """The error on a parameter that only --check can do without."""
    context = click.get_current_context()
    hint = f"'{name.upper()}'" if name == "recipe" else f"'--{name}'"
    return click.MissingParameter(
        ctx=context, param=next(p for p in context.command.params if p.name == name), param_hint=hint
    )


def _check(
    recipe: str | None,
    data: Path,
    layout: str | None,
    sheet: Path | None,
    overrides: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> int:
    from hyperseg.cli.check import check
    from hyperseg.data.layouts import Layout

    if recipe is None:
        return check(data, Layout(layout or Layout.CAMVID), None, sheet, force, as_json)
    from hyperseg.training.recipe import load_recipe

    wanted = load_recipe(recipe, overrides).data
    return check(data, wanted.layout, wanted.needed, sheet, force, as_json)


@contextmanager
def _progress() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Progress bar with rate, remaining time and scores; where there can be none, a line for each validation."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    drawn = console.is_terminal and not console.is_dumb_terminal
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    progress = Progress(*columns, console=console, disable=not drawn)
    with progress if drawn else nullcontext():  # rich 13.7 prints an empty line for one that is disabled
        task = progress.add_task("starting", total=None)
        shown = {"loss": "", "mean_iou": ""}
        rate = [0.0]

        def listen(record: Mapping[str, Any]) -> None:
            iterations, iteration = record["iterations"], record["iteration"]
            if "loss" in record:
                shown["loss"] = f"loss {record['loss']:.3f}, {record['rate']:.2f} it/s"
                rate[0] = record["rate"]
            if "mean_iou" in record and not drawn:
                score = f"mIoU {100 * record['mean_iou']:.1f} %"
                left = _left(iterations - iteration, rate[0])
                click.echo(f"iteration {iteration} of {iterations}: {score}{left}", err=True)
            if "mean_iou" in record:
                shown["mean_iou"] = f", mIoU {100 * record['mean_iou']:.1f} %"
            progress.update(task, total=iterations, completed=iteration, description="".join(shown.values()))

        yield listen


def _left(iterations: int, rate: float) -> str:
    """The time that is left, as ", about 3 min left"."""
    if not iterations or not rate:
        return ""
    seconds = iterations / rate
    named = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f", about {named if seconds < 100 * 60 else f'{seconds / 3600:.1f} h'} left"


if __name__ == "__main__":
    main()

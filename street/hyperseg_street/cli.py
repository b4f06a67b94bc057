"""`hyperseg-street`: renders a street drive with exact labels."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

EXAMPLES = """
\b
Examples:
  hyperseg-street street.mp4                            # six seconds of a drive
  hyperseg-street street.mp4 --frames 30 --labels labels
  hyperseg-street --dataset street --seed 7             # images with labels, in CamVid's layout
"""

_IMAGES = 96
_TRAIN_PER_VAL = 6
"""Training images per image of the val split, and of the test split."""


def height_and_width(text: str) -> tuple[int, int]:
    """Parse "HEIGHTxWIDTH"."""
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()) or min(int(height), int(width)) < 32:
        raise click.BadParameter(f"{text!r} is not HEIGHTxWIDTH of at least 32x32, for example 480x640")
    return int(height), int(width)


def _one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Report errors that users can fix as one line on stderr with exit code 1; `--debug` lets them through."""

    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **options: Any) -> None:
        _interrupt_on_signals()
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            click.echo(f"{click.get_current_context().info_name}: error: interrupted", err=True)
            sys.exit(130)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            if debug:
                raise
            name = click.get_current_context().info_name
            click.echo(f"{name}: error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
            sys.exit(1)

    return wrapped


def _interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does, so that no draft of an output stays behind.

    An ignored SIGHUP stays ignored, as under nohup.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


class _Command(click.Command):
    """Reports wrong usage as the project's other commands do: one line on stderr, exit code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            name = context.info_name if context is not None else "hyperseg-street"
            click.echo(f"{name}: error: {' '.join(error.format_message().split())} (see {name} --help)", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("hyperseg-street: error: interrupted", err=True)
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)


@click.command(cls=_Command, epilog=EXAMPLES)
@click.argument("clip", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--clip", "clip_option", hidden=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dataset", type=click.Path(path_type=Path, file_okay=False), help="Write a dataset to this folder.")
@click.option(
    "--images",
    "--pictures",  # its former name
    type=click.IntRange(min=1),
    default=_IMAGES,
    show_default=True,
    help="Training images of the dataset; a sixth as many for validation and for testing.",
)
@click.option("--labels", type=click.Path(path_type=Path, file_okay=False), help="Folder for the clip's labels (PNG).")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=6.0, show_default=True)
@click.option("--frames", type=click.IntRange(min=1), help="Number of frames, instead of --seconds.")
@click.option("--rate", type=click.FloatRange(1, 60), default=15.0, show_default=True, help="Frames per second.")
@click.option(
    "--size", type=height_and_width, metavar="HxW", default="480x640", show_default=True, help="Size of the images."
)
@click.option("--seed", type=click.IntRange(min=0), default=6, show_default=True, help="Seed of the street.")
@click.option("--force", is_flag=True, help="Replace an existing file or dataset.")
@click.version_option(package_name="hyperseg", message="%(prog)s %(version)s", help="Show the version.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@_one_line_errors
def main(
    clip: Path | None,
    clip_option: Path | None,
    dataset: Path | None,
    images: int,
    labels: Path | None,
    seconds: float,
    frames: int | None,
    rate: float,
    size: tuple[int, int],
    seed: int,
    force: bool,
) -> None:
    """Render a drive along a street as CLIP (.mp4), or as a dataset; both are deterministic in --seed."""
    from hyperseg_street.clip import Drive, label_name, write_clip, write_dataset
    from hyperseg_street.street import Street

    clip = clip or clip_option
    if (clip is None) == (dataset is None):
        raise click.UsageError("give either a CLIP to write, for example street.mp4, or --dataset FOLDER")
    target = clip or dataset
    assert target is not None
    count = frames or max(1, round(seconds * rate))
    if target.exists() and not force:
        raise OSError(f"{target} exists and was kept; replace it with --force, or name another file")
    if labels is not None and not force:
        for index in range(count):
            if (labels / label_name(index)).exists():
                raise OSError(f"{labels / label_name(index)} exists and was kept; --force may replace it")
    if dataset is not None:
        others = max(1, images // _TRAIN_PER_VAL)
        splits = {"train": images, "val": others, "test": others}
        with _progress(sum(splits.values())) as advance:
            write_dataset(dataset, splits, size, seed, advance)
    elif clip is not None:
        drive = Drive(Street(seed, *size), count, rate)
        with _progress(drive.frames) as advance:
            write_clip(drive, clip, labels, advance)
    click.echo(str(target))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(console=console) as bar:
        task = bar.add_task("rendering", total=total)
        yield lambda done: bar.update(task, completed=done)


if __name__ == "__main__":
    main()

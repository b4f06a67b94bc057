"""`hyperseg-street`: render a street drive with known labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hyperseg.cli.common import one_line_errors

EXAMPLES = """
\b
Examples:
  hyperseg-street street.mp4                            six seconds of a drive
  hyperseg-street street.mp4 --frames 30 --labels labels
  hyperseg-street --dataset street --seed 7             pictures with labels, in CamVid's folders
"""

_PICTURES = 96
_OTHERS = 6
"""One picture of val, and one of test, for so many to train on."""


def height_and_width(text: str) -> tuple[int, int]:
    """From "HEIGHTxWIDTH"."""
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()) or min(int(height), int(width)) < 32:
        raise click.BadParameter(f"{text!r} is not HEIGHTxWIDTH of at least 32x32, for example 480x640")
    return int(height), int(width)


@click.command(epilog=EXAMPLES)
@click.argument("clip", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--clip", "clip_option", hidden=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dataset", type=click.Path(path_type=Path, file_okay=False), help="Write a data set into this folder.")
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    default=_PICTURES,
    show_default=True,
    help="To train on, in a data set; a sixth as many to validate and to test.",
)
@click.option("--labels", type=click.Path(path_type=Path, file_okay=False), help="Folder for the clip's labels (PNG).")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=6.0, show_default=True)
@click.option("--frames", type=click.IntRange(min=1), help="Number of frames, instead of --seconds.")
@click.option("--rate", type=click.FloatRange(1, 60), default=15.0, show_default=True, help="Frames a second.")
@click.option(
    "--size", type=height_and_width, metavar="HxW", default="480x640", show_default=True, help="Of the pictures."
)
@click.option("--seed", type=click.IntRange(min=0), default=6, show_default=True, help="Another seed, another street.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@one_line_errors
def main(
    clip: Path | None,
    clip_option: Path | None,
    dataset: Path | None,
    pictures: int,
    labels: Path | None,
    seconds: float,
    frames: int | None,
    rate: float,
    size: tuple[int, int],
    seed: int,
    force: bool,
) -> None:
    """Render a drive along a street into CLIP (.mp4), or a data set; both are deterministic in --seed."""
    from hyperseg.street.clip import Drive, write_clip, write_dataset
    from hyperseg.street.street import Street

    clip = clip or clip_option
    if (clip is None) == (dataset is None):
        raise click.UsageError("give either a CLIP to write, for example street.mp4, or --dataset FOLDER")
    target = clip or dataset
    assert target is not None
    if target.exists() and not force:
        raise OSError(f"{target} exists already; name another one, or replace it with --force")
    if dataset is not None:
        others = max(1, pictures // _OTHERS)
        splits = {"train": pictures, "val": others, "test": others}
        with _progress(sum(splits.values())) as advance:
            write_dataset(dataset, splits, size, seed, advance)
    elif clip is not None:
        drive = Drive(Street(seed, *size), frames or max(1, round(seconds * rate)), rate)
        with _progress(drive.frames) as advance:
            write_clip(drive, clip, labels, advance)
    click.echo(str(target))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; silent unless a person watches."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("rendering", total=total)
        yield lambda done: bar.update(task, completed=done)


if __name__ == "__main__":
    main()

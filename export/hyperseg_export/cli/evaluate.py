"""hyperseg-evaluate: scores checkpoints, ONNX files and engines on a labelled split."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import click
from hyperseg_runtime.cli import common, stabilise_option

EXAMPLES = """
\b
Examples:
  hyperseg-evaluate m.pt --data camvid --split val
  hyperseg-evaluate m.pt m.onnx m.fp16.engine --data camvid --split test     # side by side
  hyperseg-evaluate m.onnx --data mine                                       # one's own, with dataset.toml
  hyperseg-evaluate m.onnx --data cityscapes --layout cityscapes --split val --worst worst.png
  hyperseg-evaluate m.onnx --clip street.mp4 --labels street/ --stabilise     # flicker, with and without averaging
"""

_LAYOUTS = ("camvid", "camvid-701-11", "camvid-701-12", "cityscapes", "voc", "own")


class _Command(click.Command):
    """Lets --stabilise stand without its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, stabilise_option.with_default(args))


@click.command(cls=_Command, epilog=EXAMPLES)
@click.argument("models", nargs=-1, type=common.ModelPath())
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--split", default="val", show_default=True, help="Split of the dataset; several joined by +.")
@click.option(
    "--layout",
    type=click.Choice(_LAYOUTS),
    help="Layout of the dataset; by default own if the folder has a dataset.toml, else camvid.",
)
@click.option("--resolution", metavar="HxW", help="The network's resolution, for models exported with --dynamic.")
@common.fit_option
@common.models_option
@common.backend_option
@common.threads_option
@common.host_code_option
@click.option(
    "--clip",
    "clips",
    multiple=True,
    type=common.FilePath(),
    metavar="VIDEO|FOLDER",
    help="Instead of a dataset: a video, or a folder of its frames. Repeatable.",
)
@click.option(
    "--labels",
    multiple=True,
    type=common.FilePath(),
    metavar="FOLDER",
    help="The labels of the clip: a PNG for every frame, in the order of their names. Their classes are those of a "
    "dataset.toml in this folder or beside it, else indices of the first model's; 255 is void.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.01, 1000),
    default=15.0,
    show_default=True,
    help="Frames per second of a clip that is a folder, which --stabilise needs.",
)
@stabilise_option.stabilise_option
@click.option("--confusion", type=click.Path(path_type=Path), help="Draw the confusion matrix into this PNG.")
@click.option("--worst", type=click.Path(path_type=Path), help="Draw the eight worst images into this PNG.")
@common.force_option
@common.json_option
@common.version_option
@common.debug_option
def evaluate(
    models: tuple[Path, ...],
    named_models: tuple[Path, ...],
    data: Path | None,
    split: str,
    layout: str | None,
    resolution: str | None,
    fit: str,
    backend: str,
    threads: int | None,
    allow_host_code: bool,
    clips: tuple[Path, ...],
    labels: tuple[Path, ...],
    rate: float,
    stabilise: str | None,
    confusion: Path | None,
    worst: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Score MODELS on a split: mean IoU from one confusion matrix at the labels' size, void ignored, no mirroring.

    With --clip, score them on labelled videos: also flicker, the share of pixels whose class changes from frame to
    frame although the true one does not, and VSPW's video consistency over 8 and 16 frames.

    A model is a checkpoint, an ONNX file, an engine, or the name of a shipped model (camvid-lite). Without MODELS, it
    is the model in the working folder; the shipped one if there is none of any kind. --confusion and --worst refer to
    the first model. The model's classes are compared with the data set's by name, and may be in another order.
    """
    _check_usage(data, clips, labels, stabilise, confusion is not None or worst is not None)
    stabilise_option.check_fit(stabilise, fit)
    # Imported here, so that --help and usage errors are fast.
    from hyperseg_runtime.fitting import Fit

    from hyperseg_export.cli.evaluate_clips import ClipSession
    from hyperseg_export.cli.evaluate_session import EvaluateSession

    size = None if resolution is None else common.parse_resolution(resolution)
    if data is None:
        clip_session = ClipSession(
            list(zip(clips, labels, strict=True)),
            Fraction(rate),
            stabilise_option.seconds_of(stabilise),
            backend,
            threads,
            size,
            fit=Fit(fit),
            allow_host_code=allow_host_code,
            as_json=as_json,
        )
        return clip_session.run(models + named_models)
    session = EvaluateSession(
        data,
        layout,
        split,
        backend,
        threads,
        size,
        fit=Fit(fit),
        allow_host_code=allow_host_code,
        force=force,
        as_json=as_json,
    )
    return session.run(models + named_models, confusion, worst)


def _check_usage(
    data: Path | None, clips: tuple[Path, ...], labels: tuple[Path, ...], stabilise: str | None, draws: bool
) -> None:
    if (data is None) == (not clips):
        raise click.UsageError("give either a dataset (--data FOLDER), or a clip (--clip VIDEO --labels FOLDER)")
    if len(clips) != len(labels):
        raise click.UsageError(
            f"{len(clips)} --clip and {len(labels)} --labels are given; each clip needs the folder of its labels"
        )
    if not clips and stabilise is not None:
        raise click.UsageError("--stabilise averages over time, and a dataset has none; give a clip (--clip, --labels)")
    if clips and draws:
        raise click.UsageError("--confusion and --worst are drawn of a dataset (--data); omit them with --clip")


def main() -> None:
    common.execute(evaluate, "hyperseg-evaluate")


if __name__ == "__main__":
    main()

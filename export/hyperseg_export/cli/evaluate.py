"""hyperseg-evaluate: scores checkpoints, ONNX files and engines on a labelled split."""

from __future__ import annotations

from pathlib import Path

import click
from hyperseg_runtime.cli import common

EXAMPLES = """
\b
Examples:
  hyperseg-evaluate m.pt --data camvid --split val
  hyperseg-evaluate m.pt m.onnx m.fp16.engine --data camvid --split test     # side by side
  hyperseg-evaluate m.onnx --data mine                                       # one's own, with dataset.toml
  hyperseg-evaluate m.onnx --data cityscapes --layout cityscapes --split val --worst worst.png
"""

_LAYOUTS = ("camvid", "camvid-701-11", "camvid-701-12", "cityscapes", "voc", "own")


@click.command(epilog=EXAMPLES)
@click.argument("models", nargs=-1, type=common.ModelPath())
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--split", default="val", show_default=True, help="Split of the dataset; several joined by +.")
@click.option(
    "--layout",
    type=click.Choice(_LAYOUTS),
    help="Layout of the dataset; by default own if the folder has a dataset.toml, else camvid.",
)
@click.option("--resolution", metavar="HxW", help="The network's resolution, for models exported with --dynamic.")
@common.models_option
@common.backend_option
@common.threads_option
@common.host_code_option
@click.option("--confusion", type=click.Path(path_type=Path), help="Draw the confusion matrix into this PNG.")
@click.option("--worst", type=click.Path(path_type=Path), help="Draw the eight worst images into this PNG.")
@common.force_option
@common.json_option
@common.version_option
@common.debug_option
def evaluate(
    models: tuple[Path, ...],
    named_models: tuple[Path, ...],
    data: Path,
    split: str,
    layout: str | None,
    resolution: str | None,
    backend: str,
    threads: int | None,
    allow_host_code: bool,
    confusion: Path | None,
    worst: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Score MODELS on a split: mean IoU from one confusion matrix at the labels' size, void ignored, no mirroring.

    A model is a checkpoint, an ONNX file, an engine, or the name of a shipped model (camvid-lite). Without MODELS, it
    is the model in the working folder; the shipped one if there is none of any kind. --confusion and --worst refer to
    the first model. The model's classes are compared with the data set's by name, and may be in another order.
    """
    # Imported here, so that --help and usage errors are fast.
    from hyperseg_export.cli.evaluate_session import EvaluateSession

    size = None if resolution is None else common.parse_resolution(resolution)
    session = EvaluateSession(
        data, layout, split, backend, threads, size, allow_host_code=allow_host_code, force=force, as_json=as_json
    )
    return session.run(models + named_models, confusion, worst)


def main() -> None:
    common.execute(evaluate, "hyperseg-evaluate")


if __name__ == "__main__":
    main()

"""Fine-tuning against training from nothing: 40 made images of three classes that the shipped model does not know.

    python benchmarks/finetune_show.py FOLDER                     300 iterations each, on all cores
    python benchmarks/finetune_show.py FOLDER --iterations 60

Makes the data set of `table_scenes.py` in FOLDER/cups, trains the same network on it twice with the same recipe and the
same number of iterations, once from the shipped model and once from nothing, and scores both on 20 other images. Then
exports the fine-tuned model and draws its labels over them: FOLDER/overlays, in the data set's names and colours. A run
that was stopped resumes; times of training are then those of the last part.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from table_scenes import CLASSES, write_dataset

import hyperseg
from hyperseg.data import Layout, open_split
from hyperseg.metrics import Confusion

STARTS = {"fine-tuned": ("--init", "camvid-lite"), "from nothing": ("--set", "network=camvid-lite")}


def command(*arguments: object) -> None:
    """Run one of the project's commands, and stop if it fails."""
    module, *rest = map(str, arguments)
    click.echo(f"$ {module.rpartition('.')[2]} {' '.join(rest)}", err=True)
    subprocess.run([sys.executable, "-m", module, *rest], check=True)


def class_scores(model: Path, data: Path) -> Confusion:
    """Confusion matrix of a checkpoint on the validation images."""
    import torch

    from hyperseg.training.distributed import DistributedContext
    from hyperseg.training.loss import ForwardLoss, SegmentationLoss
    from hyperseg.training.validation import score

    network = hyperseg.load(model)
    config = network.config
    loss = ForwardLoss(network, SegmentationLoss(None), config.mean, config.std, torch.float32)
    alone = DistributedContext(0, 1, torch.device("cpu"))
    return score(loss, open_split(Layout.OWN, data, "val"), config.resolution, alone)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--iterations", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all by default.")
def main(folder: Path, iterations: int, threads: int | None) -> None:
    """Run the comparison in FOLDER and print its table."""
    data = folder / "cups"
    write_dataset(data)
    title = f"{iterations} iterations, 20 other images"
    table = Table("", "mIoU %", "pixel accuracy %", *CLASSES, "minutes", title=title)
    for name, start in STARTS.items():
        out = folder / name.replace(" ", "-")
        options = ["--set", f"optimiser.iterations={iterations}", *(["--threads", threads] if threads else [])]
        begun = time.monotonic()
        command("hyperseg.cli.train", "finetune", "--data", data, "--out", out, "--device", "cpu", *start, *options)
        minutes = (time.monotonic() - begun) / 60
        scores = class_scores(out / "best.pth", data)
        shown = [scores.mean_iou, scores.pixel_accuracy, *map(float, scores.iou)]
        table.add_row(name, *(f"{100 * value:.1f}" for value in shown), f"{minutes:.1f}")
    model = folder / "cups.onnx"
    command("hyperseg_export.cli.export", "--ckpt", folder / "fine-tuned" / "best.pth", "-o", model, "--force")
    overlays = folder / "overlays"
    command(
        "hyperseg_runtime.cli.run", data / "images" / "val", "--model", model, "-o", overlays, "--legend", "--force"
    )
    Console().print(table)


if __name__ == "__main__":
    main()

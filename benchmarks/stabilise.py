"""Flicker, mean IoU and cost of --stabilise on rendered streets, as a table.

    python benchmarks/stabilise.py                  six clips of 60 frames, then the cost of a frame
    python benchmarks/stabilise.py --cost           the cost alone: on a quiet machine
    python benchmarks/stabilise.py --clock cpu      processor time instead: for a busy machine

The streets are other ones than those that the constants of motion.py and stabiliser.py were chosen on (seeds 29 to 32).
Clips are rendered into --folder once. The parts of a frame are timed in turns, so that varying load affects all alike.
"""

from __future__ import annotations

import json
import statistics
import time
from fractions import Fraction
from pathlib import Path

import click
import numpy as np

STREETS = ((43, 15.0), (44, 15.0), (45, 15.0), (46, 10.0), (48, 30.0), (49, 30.0))
"""Seeds and frames per second. At 8 m/s in each, the rate is also the speed."""
SIZE = (480, 640)


def rendered(folder: Path, seed: int, rate: float, frames: int) -> tuple[Path, Path]:
    """The clip of a seed and the folder of its labels, rendered if they do not exist."""
    from hyperseg_street import Street
    from hyperseg_street.clip import Drive, write_clip

    clip, labels = folder / f"{seed}.{frames}.mp4", folder / f"{seed}.{frames}"
    if not clip.exists():
        click.echo(f"rendering {clip}", err=True)
        write_clip(Drive(Street(seed, *SIZE), frames, rate), clip, labels, lambda _: None)
    return clip, labels


def print_scores(model: str, folder: Path, frames: int, seconds: float) -> None:
    """The table of clips, without and with averaging. The last row: one confusion matrix, the mean flicker."""
    from hyperseg_export.evaluation.clip import LabelledClip, score_clip
    from hyperseg_runtime import Segmenter

    from hyperseg.metrics import Confusion

    with Segmenter(model) as segmenter:
        classes = segmenter.classes
        total = {stabilised: Confusion(len(classes)) for stabilised in (False, True)}
        flicker: dict[bool, list[float]] = {False: [], True: []}
        click.echo(f"{'street':<16}{'mIoU %':>16}{'flicker %':>16}{'VC8 %':>16}{'VC16 %':>16}")
        for seed, rate in STREETS:
            clip = LabelledClip.find(*rendered(folder, seed, rate, frames), Fraction(rate))
            both = score_clip(segmenter, clip, seconds)
            for stabilised, scores in enumerate(both):
                total[bool(stabilised)].merge(scores.confusion)
                flicker[bool(stabilised)].append(scores.consistency.flicker or 0.0)
            pairs = [[scores.confusion.mean_iou, scores.consistency.flicker] for scores in both]
            for pair, scores in zip(pairs, both, strict=True):
                pair += [scores.consistency.consistency(8), scores.consistency.consistency(16)]
            cells = [_both(plain, steady) for plain, steady in zip(*pairs, strict=True)]
            click.echo(f"{seed}, {rate:g} frames/s".ljust(16) + "".join(f"{cell:>16}" for cell in cells))
    means = {stabilised: float(np.mean(values)) for stabilised, values in flicker.items()}
    click.echo(
        "all".ljust(16) + f"{_both(total[False].mean_iou, total[True].mean_iou):>16}" + f"{_both(*means.values()):>16}"
    )
    click.echo(f"flicker: {100 * (means[True] / means[False] - 1):+.1f} %")
    for index, name in enumerate(classes):
        click.echo(f"  {name:<14}{_both(float(total[False].iou[index]), float(total[True].iou[index])):>16}")


def _both(plain: float | None, steady: float | None) -> str:
    return "-" if plain is None or steady is None else f"{100 * plain:.2f} {100 * steady:.2f}"


def cost(model: str, folder: Path, frames: int, seconds: float, clock: str) -> dict[str, float]:
    """Median milliseconds of the parts of a frame."""
    import cv2
    from hyperseg_runtime import Segmenter
    from hyperseg_runtime.stabiliser import Stabiliser
    from hyperseg_runtime.video.reader import VideoReader

    now = time.perf_counter
    if clock == "cpu":
        now = time.thread_time  # of this thread, which then does all
        cv2.setNumThreads(1)
    clip, _ = rendered(folder, *STREETS[0], frames)
    stabiliser = Stabiliser(seconds)
    times: dict[str, list[float]] = {name: [] for name in ("preprocess", "network", "stabilise", "labels")}
    with Segmenter(model, threads=1 if clock == "cpu" else None) as segmenter:
        reader = VideoReader(str(clip))
        for frame in reader.frames():
            marks = [now()]
            prepared = segmenter.prepared(frame.image)
            marks.append(now())
            found = prepared.logits()
            marks.append(now())
            steady = found.with_logits(stabiliser(found.logits, frame))
            marks.append(now())
            steady.labels()
            marks.append(now())
            for name, start, end in zip(times, marks, marks[1:], strict=False):
                times[name].append(1e3 * (end - start))
        reader.close()
    return {name: statistics.median(values[3:]) for name, values in times.items()}


@click.command(help="\b\n" + (__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.option("--model", default="camvid-lite", show_default=True)
@click.option("--frames", type=click.IntRange(16), default=60, show_default=True, help="Frames of each clip.")
@click.option("--seconds", default=0.5, show_default=True, help="Time constant.")
@click.option("--cost", "cost_alone", is_flag=True, help="Measure the cost alone.")
@click.option("--clock", type=click.Choice(["wall", "cpu"]), default="wall", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("runs/stabilise"), help="Folder of clips.")
@click.option("--json", "as_json", is_flag=True, help="Print the cost as JSON.")
def main(model: str, frames: int, seconds: float, cost_alone: bool, clock: str, folder: Path, as_json: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not cost_alone:
        print_scores(model, folder, frames, seconds)
    medians = cost(model, folder, frames, seconds, clock)
    if as_json:
        click.echo(json.dumps(medians))
        return
    others = sum(value for name, value in medians.items() if name != "stabilise")
    parts = ", ".join(f"{name} {value:.2f}" for name, value in medians.items())
    click.echo(
        f"milliseconds of a frame: {parts}; stabilise is {100 * medians['stabilise'] / others:.1f} % of the rest"
    )


if __name__ == "__main__":
    main()

"""Command hyperseg-run: segmentation of images, videos, cameras and streams."""

from __future__ import annotations

import difflib
import os
import re
from fractions import Fraction
from pathlib import Path

import click

from hyperseg_runtime.cli import common, stabilise_option
from hyperseg_runtime.live.reconnection import STALL_SECONDS, Reconnection

_EXAMPLES = """
\b
Examples:
  hyperseg-run video.mp4                          # -> video.segmented.mp4
  hyperseg-run video.mp4 -o out.mp4 --style contour --legend
  hyperseg-run video.mp4 --palette distinct --legend bottom-right --classes road,car
  hyperseg-run photos/ --labels labels            # -> photos.segmented/, labels/*.png
  hyperseg-run photos/ --resume                   # the rest of a run that was interrupted
  hyperseg-run drive.mp4 --format png             # -> drive.segmented/drive_000000.png, ...
  hyperseg-run photos/ --polygons photos.json     # for annotation tools
  hyperseg-run mosaic.tif --fit tile              # a big image, at the network's own scale
  hyperseg-run drive.mp4 --start 1:30 --end 2:00 --stats shares.csv
  hyperseg-run drive.mp4 --stabilise              # labels that flicker less
  hyperseg-run 0 --show                           # the first camera, in a window
  ssh camera cat drive.ts | hyperseg-run - -o drive.mp4
  hyperseg-run rtsp://camera.local/stream --max-frames 1000
  hyperseg-run 0 1 rtsp://gate.local/1 -o out/    # several cameras at the same time, out/camera-0.mp4, ...
"""


def seconds(text: str) -> Fraction:
    """Seconds ("90", "90.5") or a clock time ("1:30", "0:01:30.5")."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text, re.ASCII):
        raise click.BadParameter(f"{text!r} is not a time; write seconds (90.5) or hours:minutes:seconds (0:01:30.5)")
    total = Fraction(0)
    for part in text.split(":"):
        total = total * 60 + Fraction(part)
    return total


LEGEND_PLACES = ("top-left", "top-right", "bottom-left", "bottom-right")


def _misspelt_place(text: str) -> bool:
    """Whether the word after --legend, which may be an input, is more likely a place: no file, and nearly one."""
    near = difflib.get_close_matches(text.lower(), LEGEND_PLACES, n=1, cutoff=0.7)
    return bool(near) and not os.path.lexists(text)


class _Command(click.Command):
    """Lets --legend and --stabilise stand without a value, also before an input, which click would take for it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        for place, (option, following) in enumerate(zip(options, [*options, ""][1:], strict=True)):
            if option == "--legend" and following not in (*LEGEND_PLACES, "off"):
                if _misspelt_place(following):
                    places = ", ".join(LEGEND_PLACES)
                    raise click.BadOptionUsage(
                        option,
                        f"--legend {following}: no such place and no such file; the places are {places} and off",
                        ctx,
                    )
                options[place] = f"--legend={LEGEND_PLACES[0]}"
        return super().parse_args(ctx, stabilise_option.with_default(options + args[len(options) :]))


@click.command(
    cls=_Command,
    epilog=_EXAMPLES,
    help="Segment images, videos, folders and globs of them, cameras, stream URLs, or standard input (-).",
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    help="Result: a file for one input, or a folder. Default: NAME.segmented.mp4 beside a video, NAME.segmented.SUFFIX "
    "of the same format beside an image, FOLDER.segmented/ beside a folder (segmented/ in it for '.' and '..').",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["mp4", "mov", "mkv", "webm", "gif", "png", "jpg"]),
    help="Format of videos' results. png, jpg: a folder of numbered frames. Default: as -o, else mp4.",
)
@common.model_option
@common.backend_option
@common.threads_option
@common.host_code_option
@click.option("--resolution", metavar="HxW", help="The network's resolution, for models exported with --dynamic.")
@common.fit_option
@stabilise_option.stabilise_option
@click.option(
    "--style",
    type=click.Choice(["overlay", "side-by-side", "mask", "contour"]),
    default="overlay",
    show_default=True,
    help="Rendering of the labels.",
)
@click.option("--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Opacity of the colours.")
@click.option(
    "--palette",
    type=click.Choice(["dataset", "distinct"]),
    default="dataset",
    show_default=True,
    help="Colours: the model's own, or colours that are easy to tell apart, with colour blindness too.",
)
@click.option(
    "--outline/--no-outline", default=None, help="Draw a thin line between areas. Default: in overlay and side-by-side."
)
@click.option(
    "--legend",
    type=click.Choice([*LEGEND_PLACES, "off"]),
    metavar="[PLACE]",
    default="off",
    help=f"Draw the names of the classes in the frame. PLACE: {', '.join(LEGEND_PLACES)} or off; {LEGEND_PLACES[0]} "
    "if omitted. It takes 15 % of the frame at most.",
)
@click.option(
    "--classes",
    metavar="LIST",
    help="Draw only these classes: names or numbers, as in road,car. Not for labels, stats.",
)
@click.option(
    "--labels",
    type=common.FilePath(),
    metavar="DIR",
    help="Also write each frame's labels as PNG with the model's palette. The pixels are class numbers: read them with "
    "PIL; OpenCV gives colours.",
)
@click.option("--stats", type=common.FilePath(), metavar="FILE", help="Also write class shares: .jsonl or .csv.")
@click.option(
    "--polygons",
    type=common.FilePath(),
    metavar="FILE",
    help="Also write exact polygons of all regions: .json, in COCO's format.",
)
@click.option("--show", is_flag=True, help="Show a window with the live frame rate; q closes it.")
@click.option("--start", type=seconds, metavar="TIME", default="0", help="Start time (seconds, or h:m:s).")
@click.option("--end", type=seconds, metavar="TIME", help="End time.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take every Nth frame.")
@click.option("--max-frames", type=click.IntRange(1), help="Stop after this many frames.")
@click.option(
    "--live-policy",
    type=click.Choice(["latest", "all"]),
    default="latest",
    show_default=True,
    help="If a camera or stream is faster than the model: drop frames (latest), or process all.",
)
@click.option(
    "--reconnect",
    type=click.IntRange(0),
    metavar="N",
    help="Attempts in a row to reconnect to a camera or stream that is lost; 0: none. Default: no limit.",
)
@click.option(
    "--stall-timeout",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    default=STALL_SECONDS,
    show_default=True,
    help="A camera or stream that sends no frame for so long is lost.",
)
@common.force_option
@click.option(
    "--resume",
    is_flag=True,
    help="Continue an interrupted run into a folder, with the same model and options: complete results are kept.",
)
@common.json_option
@common.version_option
@common.debug_option
def run(
    *,
    inputs: tuple[str, ...],
    output: str | None,
    form: str | None,
    model: Path | None,
    backend: str,
    threads: int | None,
    allow_host_code: bool,
    resolution: str | None,
    fit: str,
    stabilise: str | None,
    style: str,
    alpha: float,
    palette: str,
    outline: bool | None,
    legend: str,
    classes: str | None,
    labels: Path | None,
    stats: Path | None,
    polygons: Path | None,
    show: bool,
    start: Fraction,
    end: Fraction | None,
    every: int,
    max_frames: int | None,
    live_policy: str,
    reconnect: int | None,
    stall_timeout: float,
    force: bool,
    resume: bool,
    as_json: bool,
) -> int:
    if end is not None and end <= start:
        raise click.UsageError(f"--end {float(end):g} is not after --start {float(start):g}")
    if force and resume:
        raise click.UsageError(
            "--force and --resume exclude each other: replace all results, or keep the complete ones"
        )
    stabilise_option.check_fit(stabilise, fit)
    # Imported late, so that --help and usage errors answer at once.
    from hyperseg_runtime.cli.run_session import RunSession
    from hyperseg_runtime.fitting import Fit
    from hyperseg_runtime.output.legend import Corner
    from hyperseg_runtime.output.palette import Palette
    from hyperseg_runtime.output.render import Appearance, Style
    from hyperseg_runtime.pipeline import LivePolicy
    from hyperseg_runtime.video.sources import Selection

    place = None if legend == "off" else Corner(legend)
    look = Appearance(Style(style), alpha, place, Palette(palette), outline)
    session = RunSession(
        model=model,
        backend=backend,
        threads=threads,
        allow_host_code=allow_host_code,
        resolution=None if resolution is None else common.parse_resolution(resolution),
        fit=Fit(fit),
        stabilise=stabilise_option.seconds_of(stabilise),
        selection=Selection(start, end, every, max_frames),
        look=look,
        classes=classes,
        labels=labels,
        stats=stats,
        polygons=polygons,
        show=show,
        policy=LivePolicy(live_policy),
        reconnection=Reconnection(reconnect, stall_timeout),
        form=None if form is None else f".{form}",
        force=force,
        resume=resume,
        as_json=as_json,
    )
    return session.run(inputs, output)


def main() -> None:
    common.execute(run, "hyperseg-run")


if __name__ == "__main__":
    main()

"""Command hyperseg-benchmark: frame rates by named protocols, ratios with confidence intervals, profiles, a report."""

from __future__ import annotations

from pathlib import Path

import click

from hyperseg_runtime.cli import common

_EXAMPLES = """
\b
Examples:
  hyperseg-benchmark                              # the model of this folder
  hyperseg-benchmark a.onnx b.onnx --report r.html
  hyperseg-benchmark a.onnx --protocol A --repetitions 200 --json
  hyperseg-benchmark a.onnx --protocol C --video drive.mp4
  hyperseg-benchmark a.onnx --profile             # by operator and part of the network
"""


@click.command(
    epilog=_EXAMPLES,
    help="Measure models at batch 1 with three protocols. A: upload to download (SwiftNet's protocol, headline). "
    "B: device only. C: video end to end. Several models are interleaved and compared with the first.",
)
@click.argument("models", metavar="[MODEL...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(["A", "B", "C"], case_sensitive=False),
    multiple=True,
    help="Protocol; repeatable. Default: all three.",
)
@common.models_option
@common.backend_option
@common.threads_option
@click.option("--repetitions", type=click.IntRange(3), default=50, show_default=True, help="Timed runs of A and B.")
@click.option("--warm-up", type=click.IntRange(0), default=5, show_default=True, help="Untimed runs before A and B.")
@click.option("--video", type=click.Path(path_type=Path), help="Clip for protocol C. Default: a synthetic moving clip.")
@click.option("--max-frames", type=click.IntRange(1), help="Frames of protocol C.")
@click.option("--resolution", metavar="HxW", help="The networks' resolution, for models exported with --dynamic.")
@click.option("--profile", is_flag=True, help="Only profile: time by operator and part of the network (ONNX Runtime).")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Also write an HTML page.")
@common.output_option("Also write the JSON record to this file.")
@common.force_option
@common.json_option
@common.version_option
@common.debug_option
def benchmark(
    *,
    models: tuple[Path, ...],
    named_models: tuple[Path, ...],
    protocols: tuple[str, ...],
    backend: str,
    threads: int | None,
    repetitions: int,
    warm_up: int,
    video: Path | None,
    max_frames: int | None,
    resolution: str | None,
    profile: bool,
    report: Path | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    # Imported late, so that --help and usage errors answer at once.
    from hyperseg_runtime.cli.benchmark_session import BenchmarkSession, profile_models

    common.interrupt_on_signals()
    models += named_models
    size = None if resolution is None else common.parse_resolution(resolution)
    if profile:
        if protocols or report is not None:
            raise click.UsageError("--profile cannot be combined with --protocol or --report")
        profile_models(models, threads=threads, repetitions=repetitions, as_json=as_json)
        return
    BenchmarkSession(
        protocols=tuple(letter.upper() for letter in protocols) or ("A", "B", "C"),
        backend=backend,
        threads=threads,
        repetitions=repetitions,
        warm_up=warm_up,
        video=video,
        max_frames=max_frames,
        resolution=size,
        report=report,
        output=output,
        force=force,
        as_json=as_json,
    ).run(models)


def main() -> None:
    common.execute(benchmark, "hyperseg-benchmark")


if __name__ == "__main__":
    main()

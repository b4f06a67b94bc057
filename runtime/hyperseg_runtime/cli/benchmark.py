"""Command hyperseg-benchmark: frame rates by named protocols, ratios with confidence intervals, profiles, a report."""

from __future__ import annotations

from pathlib import Path

import click

from hyperseg_runtime.cli import common

_LETTERS = ("A", "B", "C", "D")
_EPILOG = """
\b
Columns:
  frames/s       images of a run / median time, the headline; C: frames / seconds
  mean frames/s  images of a run / mean time; far from frames/s where times vary
  p5, p95, p99   percentiles of the runs
  variation      standard deviation / mean
  time ratio     median time of an image / the first model's; below 1 is faster
  95 % CI        confidence interval of the ratio, by bootstrap over the rounds
  peak MiB       most memory of a process of its own that runs the model
  model MiB      that less the peak before the model was opened

\b
Examples:
  hyperseg-benchmark                              # the model of this folder
  hyperseg-benchmark a.onnx b.onnx --report r.html
  hyperseg-benchmark a.onnx a.onnx                # the noise of this machine
  hyperseg-benchmark a.onnx --protocol A --repetitions 200 --json
  hyperseg-benchmark a.onnx --protocol C --video drive.mp4
  hyperseg-benchmark a.onnx --profile             # by operator and part of the network
"""


@click.command(
    epilog=_EPILOG,
    help="Measure models with four protocols. A: upload to download of one image (SwiftNet's protocol, headline). "
    "B: device only. C: video end to end. D: throughput of batches and of concurrent streams. Several models are "
    "interleaved and compared with the first. All four take minutes on a CPU; --protocol A alone takes a "
    "fraction of that. Ctrl-C ends the measurement and keeps the results until then.",
)
@click.argument("models", metavar="[MODEL...]", nargs=-1, type=common.ModelPath())
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(_LETTERS, case_sensitive=False),
    metavar=f"[{'|'.join(_LETTERS)}]",
    multiple=True,
    help="Protocol; repeatable. Default: all.",
)
@common.models_option
@common.backend_option
@common.threads_option
@common.host_code_option
@click.option(
    "--repetitions",
    type=click.IntRange(3),
    default=50,
    show_default=True,
    help="Timed runs of A and B; D has a round for every ten.",
)
@click.option("--warm-up", type=click.IntRange(0), default=5, show_default=True, help="Untimed runs before A and B.")
@click.option("--video", type=click.Path(path_type=Path), help="Clip for protocol C. Default: a synthetic moving clip.")
@click.option("--max-frames", type=click.IntRange(1), help="Frames of protocol C.")
@click.option("--resolution", metavar="HxW", help="The networks' resolution, for models exported with --dynamic.")
@click.option("--profile", is_flag=True, help="Only profile: time by operator and part of the network (ONNX Runtime).")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write an HTML page, with the profile of ONNX files that run on the CPU.",
)
@common.output_option("Also write the JSON record to this file.")
@common.force_option
@common.json_option
@common.version_option
@common.debug_option
@click.pass_context
def benchmark(
    context: click.Context,
    *,
    models: tuple[Path, ...],
    named_models: tuple[Path, ...],
    protocols: tuple[str, ...],
    backend: str,
    threads: int | None,
    allow_host_code: bool,
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
) -> int:
    models += named_models
    letters = sorted({letter.upper() for letter in protocols}) or list(_LETTERS)
    _check_combination(context, letters, profile, backend)
    size = None if resolution is None else common.parse_resolution(resolution)
    # Imported late, so that --help and usage errors answer at once.
    from hyperseg_runtime.benchmark.protocols import Protocol
    from hyperseg_runtime.benchmark.session import Plan
    from hyperseg_runtime.benchmark.subject import Opening
    from hyperseg_runtime.cli.benchmark_session import BenchmarkSession, OutputPaths

    chosen = [Protocol(letter) for letter in letters]
    plan = Plan(chosen, repetitions, warm_up, video, max_frames, profile=report is not None)
    session = BenchmarkSession(
        plan, Opening(backend, threads, size, allow_host_code), OutputPaths(output, report, force), as_json
    )
    return session.profile(models) if profile else session.run(models)


def _check_combination(context: click.Context, letters: list[str], profile: bool, backend: str) -> None:
    """Refuses the options that would have no effect. Raises click.UsageError."""
    given = {
        f"--{name.replace('_', '-').removesuffix('s') if name == 'protocols' else name.replace('_', '-')}"
        for name in ("protocols", "report", "video", "max_frames", "repetitions", "warm_up", "backend")
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    if profile:
        _refuse(given & {"--protocol", "--report", "--video", "--max-frames"}, "--profile, which measures no protocol")
        if backend not in ("auto", "onnxruntime"):
            raise click.UsageError(f"--profile is ONNX Runtime's on the CPU; leave --backend {backend} out")
        return
    without = f"--protocol {' --protocol '.join(letters)}"
    if "C" not in letters:
        _refuse(given & {"--video", "--max-frames"}, f"{without}, but with protocol C")
    if not {"A", "B"} & set(letters):
        _refuse(given & {"--warm-up"}, f"{without}, but with protocols A and B")
    if letters == ["C"]:
        _refuse(given & {"--repetitions"}, f"{without}, which runs the clip once")


def _refuse(options: set[str], place: str) -> None:
    if options:
        raise click.UsageError(f"{', '.join(sorted(options))} has no effect with {place}; leave it out")


def main() -> None:
    common.execute(benchmark, "hyperseg-benchmark")


if __name__ == "__main__":
    main()

"""CPU latency and peak memory of every preset, compared with other runtimes and formulations, as a table.

    python benchmarks/cpu_speed.py                      all presets, 31 rounds, on two threads and on one
    python benchmarks/cpu_speed.py camvid-s --threads 1 --clock cpu
                                                        processor time instead: for a busy machine
    python benchmarks/cpu_speed.py --scaling            ours alone, cityscapes-m from 256x512 to 1024x2048

Every row is stored in --folder when measured, and reused when the same command is repeated there.

Compared, with the same weights, images in and labels out, float32, batch 1:
    ours        this project's ONNX file in ONNX Runtime
    plain       the published formulation (unfold + grouped convolution) in standard operators, in ONNX Runtime
    OpenVINO    the plain file in OpenVINO
    no DPWConv  the same network with regular convolutions of the same sizes, exported like ours, in ONNX Runtime
The runs of a round are interleaved in one process, so that varying load affects all alike; the table shows medians.
Memory is the peak of a process that opens the file and runs it three times, minus its memory before opening the file.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np

PRESETS = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")
RUNNERS = ("ours", "plain", "openvino", "static")
SCALING_PRESET = "cityscapes-m"
RESOLUTIONS = ((256, 512), (512, 1024), (768, 1536), (1024, 2048))
Run = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """Result of one preset at a number of threads and a resolution (None: the published one): median milliseconds and
    peak mebibytes by runner, None if it was not run."""

    preset: str
    threads: int
    resolution: tuple[int, int] | None
    milliseconds: dict[str, float | None]
    mebibytes: dict[str, float | None]

    def ratio(self, runner: str) -> float | None:
        ours, other = self.milliseconds["ours"], self.milliseconds[runner]
        return None if ours is None or other is None else ours / other

    @property
    def memory_ratio(self) -> float | None:
        ours, plain = self.mebibytes["ours"], self.mebibytes["plain"]
        return None if ours is None or plain is None else ours / plain


def model_file(folder: Path, preset: str, runner: str, resolution: tuple[int, int] | None) -> Path:
    """Path of the runner's ONNX file, exported if it does not exist."""
    size = "" if resolution is None else f".{resolution[0]}x{resolution[1]}"
    kind = "plain" if runner == "openvino" else runner
    path = folder / f"{preset}{size}.{kind}.onnx"
    if not path.exists():
        click.echo(f"exporting {path.name}", err=True)
        _export(path, preset, kind, resolution)
    return path


def _export(path: Path, preset: str, kind: str, resolution: tuple[int, int] | None) -> None:
    from hyperseg_export import ExportOptions, export_onnx
    from hyperseg_export.options import Resolution
    from hyperseg_export.samples import random_network

    import hyperseg

    if kind == "plain":
        from plain import export_plain  # type: ignore[import-not-found,unused-ignore]

        export_plain(preset, path, resolution)
        return
    network = random_network(preset)
    if kind == "static":
        network = random_network(hyperseg.create(preset).config.replace(dynamic=False))  # type: ignore[arg-type]
    size = None if resolution is None else Resolution(*resolution)
    export_onnx(network, path, ExportOptions(resolution=size, verify=False))


def runner_of(runner: str, path: Path, threads: int, spin: bool) -> Run:
    """Create a function that runs the file once on an image of noise."""
    if runner == "openvino":
        return _openvino(path, threads)
    import onnxruntime
    from hyperseg_runtime.libraries import Library, require

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    # Otherwise this session's threads still spin while the next runner is measured.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if runner != "plain":
        options.register_custom_ops_library(str(require(Library.ONNXRUNTIME)))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = _noise(session.get_inputs()[0].shape)
    return lambda: session.run(None, {"image": image})


def _openvino(path: Path, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    request = compiled.create_infer_request()
    image = _noise(list(compiled.inputs[0].shape))
    return lambda: request.infer({0: image}, share_inputs=True, share_outputs=True)


def _noise(shape: list[int]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def measure(runs: dict[str, Run], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median milliseconds of each runner, interleaved, after three warm-up rounds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(rounds + 3):
        for name, run in runs.items():
            started = clock()
            run()
            if index >= 3:
                times[name].append(1e3 * (clock() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_memory(runner: str, path: Path, threads: int) -> float:
    """Peak resident mebibytes of a process that only runs this file, minus those before loading it."""
    command = [sys.executable, __file__, "--memory-of", runner, "--threads", str(threads), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout.strip().splitlines()[-1])


def _print_memory(runner: str, path: Path, threads: int) -> None:
    if runner == "openvino":
        import openvino  # noqa: F401
    else:
        import onnxruntime  # noqa: F401
    before = _peak()
    run = runner_of(runner, path, threads, spin=True)
    for _ in range(3):
        run()
    click.echo(f"{_peak() - before:.1f}")


def _peak() -> float:
    """Peak resident mebibytes of this process. (getrusage also counts those of the parent before the fork.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@dataclass(frozen=True)
class Plan:
    """Measurement settings, and the folder of ONNX files and finished rows."""

    folder: Path
    rounds: int
    clock: str
    runners: tuple[str, ...]

    def row(self, preset: str, threads: int, resolution: tuple[int, int] | None) -> Row:
        """One row: the stored one, or measured and stored."""
        kept = self._file(preset, threads, resolution)
        if kept.exists():
            given = json.loads(kept.read_text())
            return Row(**{**given, "resolution": resolution})
        click.echo(f"measuring {kept.stem}", err=True)
        row = self._measure(preset, threads, resolution)
        kept.write_text(json.dumps(asdict(row), indent=2))
        return row

    def _file(self, preset: str, threads: int, resolution: tuple[int, int] | None) -> Path:
        size = "" if resolution is None else f".{resolution[0]}x{resolution[1]}"
        names = "-".join(self.runners)
        return self.folder / f"{preset}{size}.{names}.{threads}t.{self.rounds}.{self.clock}.json"

    def _measure(self, preset: str, threads: int, resolution: tuple[int, int] | None) -> Row:
        names = [name for name in self.runners if name != "openvino" or find_spec("openvino")]
        files = {name: model_file(self.folder, preset, name, resolution) for name in names}
        wall = self.clock == "wall"
        runs = {name: runner_of(name, path, threads, spin=wall) for name, path in files.items()}
        medians = measure(runs, self.rounds, time.perf_counter if wall else time.process_time)
        memory = {name: peak_memory(name, files[name], threads) for name in ("ours", "plain") if name in files}
        return Row(
            preset,
            threads,
            resolution,
            {name: medians.get(name) for name in RUNNERS},
            {name: memory.get(name) for name in RUNNERS},
        )


def print_table(rows: list[Row], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    headers = (
        "preset",
        "threads",
        "ours ms",
        "plain ms",
        "OpenVINO ms",
        "no DPWConv ms",
        "/ plain",
        "/ OpenVINO",
        "/ no DPWConv",
    )
    for header in (*headers, "MiB ours / plain"):
        table.add_column(header, justify="left" if header == "preset" else "right")
    for row in rows:
        ratios = [row.ratio(runner) for runner in ("plain", "openvino", "static")]
        memory = "-" if row.memory_ratio is None else f"{row.mebibytes['ours']:.0f} / {row.mebibytes['plain']:.0f}"
        share = "" if row.memory_ratio is None else f" = {row.memory_ratio:.2f}"
        times = [_number(row.milliseconds[runner], 1) for runner in RUNNERS]
        name = row.preset if row.resolution is None else f"{row.preset} {row.resolution[0]}x{row.resolution[1]}"
        table.add_row(name, str(row.threads), *times, *(_number(ratio, 2) for ratio in ratios), memory + share)
    Console(width=150).print(table)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


@click.command(help="\b\n" + (__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.argument("presets", nargs=-1)
@click.option("--rounds", default=31, show_default=True, help="Measured rounds.")
@click.option(
    "--threads", multiple=True, type=int, default=(2, 1), show_default=True, help="Number of threads; repeatable."
)
@click.option("--clock", type=click.Choice(["wall", "cpu"]), default="wall", show_default=True)
@click.option("--resolution", nargs=2, type=int, help="Height and width instead of the published ones.")
@click.option("--scaling", is_flag=True, help=f"{SCALING_PRESET} at increasing resolutions, ours only.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("runs/cpu_speed"), help="Folder of ONNX files and rows."
)
@click.option("--json", "as_json", is_flag=True, help="Print rows as JSON.")
@click.option("--memory-of", type=click.Choice(RUNNERS), hidden=True)
def main(
    presets: tuple[str, ...],
    rounds: int,
    threads: tuple[int, ...],
    clock: str,
    resolution: tuple[int, int] | None,
    scaling: bool,
    folder: Path,
    as_json: bool,
    memory_of: str | None,
) -> None:
    if memory_of is not None:
        _print_memory(memory_of, Path(presets[0]), threads[0])
        return
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(folder, rounds, clock, ("ours",) if scaling else RUNNERS)
    names = presets or ((SCALING_PRESET,) if scaling else PRESETS)
    sizes = RESOLUTIONS if scaling else (resolution,)
    rows = [plan.row(name, count, size) for name in names for size in sizes for count in threads]
    if as_json:
        click.echo(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=2))
        return
    what = "milliseconds" if clock == "wall" else "processor milliseconds"
    print_table(rows, f"{machine()}; median {what} of {rounds} rounds")


if __name__ == "__main__":
    main()

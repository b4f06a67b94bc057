"""Times each level of each preset in a CUDA graph, against its lower bound, and profiles six launches with ncu."""

from __future__ import annotations

import csv
import math
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from cuda_on_cpu.kernels import write_request
from kernel_cost.cost import GRIDS, compulsory, levels_of, preset_of
from vectors import CASES, DPWInvertedResidualCase, UpsampleArgmaxCase

from gpu_check.ceilings import Ceilings, Level, graph_microseconds
from gpu_check.label_times import report_label_times
from gpu_check.processes import run_limited
from gpu_check.stage import Context, Reporter
from gpu_check.torch_device import PRECISIONS, TorchDevice

_TABLE = "levels"
_PROFILED = (
    "DPWConv-camvid-s-level0-float16",
    "DPWInvertedResidual-camvid-s-level4-float32",
    "DPWInvertedResidual-camvid-s-level4-float16",
    "DPWInvertedResidual-cityscapes-m-level4-float16",
    "DPWConv-voc-l-level5-dw-float16",
    "DPWConv-voc-l-level5-pw2-float32",
)
_SECTIONS = ("SpeedOfLight", "LaunchStats", "Occupancy", "WarpStateStats", "MemoryWorkloadAnalysis")
_STALLED = "smsp__average_warps_issue_stalled_"
_METRICS: dict[str, tuple[str, ...]] = {
    "us": ("gpu__time_duration.sum",),
    "DRAM, % of peak": (
        "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
        "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    ),
    "L2, % of peak": ("lts__throughput.avg.pct_of_peak_sustained_elapsed",),
    "SM, % of peak": ("sm__throughput.avg.pct_of_peak_sustained_elapsed",),
    "occupancy, %": ("sm__warps_active.avg.pct_of_peak_sustained_active",),
    "possible, %": ("sm__maximum_warps_per_active_cycle_pct",),
    "waves": ("launch__waves_per_multiprocessor",),
    "registers": ("launch__registers_per_thread",),
}
"""ncu's names, which differ between its releases; the first one that is there is taken."""


def run(context: Context, reporter: Reporter) -> None:
    device = TorchDevice(context)
    with device.our_kernels(context), torch.inference_mode():
        ceilings = Ceilings.measured(device)
        reporter.row("ceilings", **ceilings.row())
        reporter.note(
            "us: a launch in a CUDA graph of launches that take turns over more inputs than L2 holds; in L2: over one "
            "set of inputs. The floor is the larger one of compulsory bytes over the measured bandwidth and "
            "multiply-adds over the measured rate of a matrix product, and no less than an empty launch."
        )
        sums: dict[str, list[tuple[float, float]]] = {}
        for level in _levels(context):
            if context.seconds_left < (3.0 if device.host else 25.0):
                reporter.row(_TABLE, level="no time was left")
                break
            found = _one_level(level, ceilings, device, reporter)
            sums.setdefault(f"{preset_of(level)} {level.dtype}", []).append(found)
        for name, values in sums.items():
            spent, floor = (sum(column) for column in zip(*values, strict=True))
            reporter.row("levels together", preset=name, **{"levels": len(values), "us": spent, "floor, us": floor})
        if context.seconds_left > (1.0 if device.host else 15.0):
            report_label_times(ceilings, device, reporter)
    _profile(context, reporter)


def _levels(context: Context) -> Iterator[Level]:
    """The levels of all presets at their published grids; on the CPU, of one preset at the vectors' grids."""
    for preset, grid in GRIDS.items():
        for precision in PRECISIONS:
            for case in levels_of(preset, precision):
                yield case if context.host else replace(case, grid=grid)
        if context.host:
            return


@cache
def _small_shapes(level: Level) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs at the vectors' own grid: T, L and the biases do not depend on the grid."""
    return {name: value.shape for name, value in replace(level, grid=(2, 3)).inputs().items() if value is not None}


def _call(level: Level, device: TorchDevice) -> Callable[[], Any]:
    """A launch with separate inputs, drawn on the device with the shapes of the test vector."""
    small = _small_shapes(level)
    height, width = level.height, level.width
    dtype = PRECISIONS[level.dtype]

    def draw(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, device=device.device) / 4).to(dtype)

    theta = draw(level.batch, small["theta"][1], *level.grid, small["theta"][4])
    x = draw(level.batch, level.x_channels, height, width)
    previous = draw(level.batch, level.previous_channels, height // 2, width // 2) if level.previous_channels else None
    biases = [draw(*shape) for name, shape in small.items() if name.startswith("bias")]
    if isinstance(level, DPWInvertedResidualCase):
        return lambda: torch.ops.hyperseg.dpw_inverted_residual(x, theta, *biases, previous, **level.attributes)
    return lambda: torch.ops.hyperseg.dpw_conv(x, theta, *biases, previous, **level.attributes)


def _one_level(level: Level, ceilings: Ceilings, device: TorchDevice, reporter: Reporter) -> tuple[float, float]:
    """Measured microseconds, and the lower bound."""
    patches = level.grid[0] * level.grid[1]
    size = patches * compulsory(level).bytes
    l2 = 1 << 20 if device.host else torch.cuda.get_device_properties(device.device).L2_cache_size
    sets = 1 if device.host else min(math.ceil(4 * l2 / size), 400)
    calls = [_call(level, device) for _ in range(sets)]
    cold, hot = graph_microseconds(calls, device), graph_microseconds(calls[:1], device)
    floor = ceilings.level_floor(level)
    reporter.row(
        _TABLE,
        level=level.name.split("-", 1)[1],
        **{
            "MB": size / 1e6,
            "us": cold,
            "in L2, us": hot,
            "floor, us": floor,
            "us / floor": cold / floor,
            "GB/s": size / cold / 1e3,
        },
    )
    return cold, floor


def command_line(program: str, files: list[str], log: Path) -> list[str]:
    """ncu on `run_requests`; `ncu --help` has these options. Clocks are left as they are."""
    sections = [part for section in _SECTIONS for part in ("--section", section)]
    return [
        "ncu", "--clock-control", "none", "--cache-control", "none", *sections, "--csv", "--page", "raw",
        "--print-units", "base", "--log-file", str(log), program, *files,
    ]  # fmt: skip


def profile_rows(text: str, names: list[str]) -> list[dict[str, Any]]:
    """The rows of ncu's CSV, one per launch; `names` are the launches in order."""
    lines = [line for line in text.splitlines() if line.startswith('"')]
    rows = [row for row in csv.DictReader(lines) if row.get("ID")]  # the line of units has no ID
    return [{"launch": name, **_profile_row(row)} for name, row in zip(names, rows, strict=False)]


def _profile_row(row: dict[str, str]) -> dict[str, Any]:
    def number(key: str) -> float:
        try:
            return float(row.get(key, "").replace(",", ""))
        except ValueError:
            return math.nan

    stalls = {
        key.removeprefix(_STALLED).split("_per_issue")[0]: number(key)
        for key in row
        if key.startswith(_STALLED) and key.endswith(".ratio")
    }
    stalls.pop("selected", None)
    worst = sorted((item for item in stalls.items() if item[1] > 0), key=lambda item: -item[1])[:3]
    values = {name: number(next((key for key in keys if key in row), keys[0])) for name, keys in _METRICS.items()}
    values["us"] *= 1e-3  # the base unit is a nanosecond
    return {**values, "cycles stalled per instruction": ", ".join(f"{name} {cycles:.1f}" for name, cycles in worst)}


def _profile(context: Context, reporter: Reporter) -> None:
    table = "ncu"
    folder = Path(context.work) / "ncu"
    folder.mkdir(exist_ok=True)
    files = []
    for name in _PROFILED:
        case = next(case for case in CASES if case.name == name)
        assert not isinstance(case, UpsampleArgmaxCase)
        preset = preset_of(case)
        assert preset is not None
        path = folder / f"{name}.request"
        write_request(case if context.host else replace(case, grid=GRIDS[preset]), path)
        files.append(str(path))
    if context.host:
        subprocess.run([context.run_requests, *files], check=True)
        return
    if shutil.which("ncu") is None:
        reporter.note("ncu was not found: no counters were read. Put Nsight Compute on PATH.")
        return
    log = Path(context.out) / "ncu.csv"
    code, said = run_limited(command_line(context.run_requests, files, log), max(context.seconds_left, 5.0))
    text = log.read_text() if log.exists() else ""
    rows = profile_rows(text, list(_PROFILED))
    for row in rows:
        reporter.row(table, **row)
    if not rows:
        errors = [line for line in (text + said).splitlines() if "ERR" in line or "==" in line]
        ended = "it was not done in time" if code is None else f"exit code {code}"
        reporter.note(f"ncu read no counters: {' / '.join(errors[-3:])[:400] or ended}")

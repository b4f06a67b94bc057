"""The tables of a record, for the terminal and for the report alike: columns, rows, and a note that defines them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark.conditions import GpuSummary
from hyperseg_runtime.benchmark.profile import Profile
from hyperseg_runtime.benchmark.protocols import VIDEO_DEFINITIONS, Protocol
from hyperseg_runtime.benchmark.record import ModelFacts, Record
from hyperseg_runtime.benchmark.statistics import DEFINITIONS
from hyperseg_runtime.timing import Stage

UNKNOWN = "unknown"
_THROUGHPUT = {
    "median ms": "of a round, in which every stream runs twice",
    "frames/s": "images of a round / median time",
    "mean frames/s": "the same of the mean",
    "speed-up": "frames/s over those of the model's first row",
}


@dataclass(frozen=True)
class Table:
    """A table; the first column is text, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    """One line that defines the columns."""


def latency(record: Record, protocol: Protocol) -> Table | None:
    """Protocol A or B; None if it has no results."""
    found = [one for one in record.distributions if one.protocol is protocol]
    rows: list[tuple[str, ...]] = [
        (
            one.name,
            *(f"{value:.2f}" for value in (one.median, one.mean, *map(one.percentile, (5, 95, 99)))),
            f"{one.frames_per_second:.2f}",
            f"{one.mean_frames_per_second:.2f}",
            f"{one.variation:.1%}",
            str(len(one.ms)),
        )
        for one in found
    ]
    columns: tuple[str, ...] = (
        "model",
        "median ms",
        "mean ms",
        "p5",
        "p95",
        "p99",
        "frames/s",
        "mean frames/s",
        "variation",
        "runs",
    )
    if any(one.images > 1 for one in found):
        rows = [(row[0], str(one.images), *row[1:]) for row, one in zip(rows, found, strict=True)]
        columns = (columns[0], "batch", *columns[1:])
    title = f"Protocol {protocol.value}: {protocol.title}"
    return Table(title, columns, rows, _note(DEFINITIONS)) if rows else None


def side_by_side(record: Record) -> Table | None:
    # After a failure of the first model, the protocols that follow have another one as the first.
    baselines = list(dict.fromkeys(one.baseline for one in record.ratios))
    rows = [
        (
            one.name if len(baselines) == 1 else f"{one.name}, relative to {one.baseline}",
            one.protocol.value,
            f"{one.ratio:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
        )
        for one in record.ratios
    ]
    note = (
        "time ratio: median time of an image over the first model's in the same rounds, below 1 is faster; "
        "95 % CI: confidence interval by bootstrap over the rounds"
    )
    columns = ("model", "protocol", "time ratio", "95 % CI")
    title = f"Relative to {baselines[0]}" if len(baselines) == 1 else "Models side by side"
    return Table(title, columns, rows, note) if rows else None


def videos(record: Record) -> Table | None:
    rows = []
    for one in record.videos:
        stages = (one.stages.get(stage.value) for stage in Stage)
        times = ("-" if stage is None else f"{stage.median_ms:.1f}" for stage in stages)
        rate, overhead = f"{one.frames_per_second:.2f}", f"{one.overhead:.3f}"
        rows.append((one.name, str(one.frames), f"{one.seconds:.2f}", rate, overhead, *times))
    columns = ("model", "frames", "seconds", "frames/s", "wall / inference", *(stage.value for stage in Stage))
    title = f"Protocol C: {Protocol.VIDEO.title}"
    return Table(title, columns, rows, _note(VIDEO_DEFINITIONS)) if rows else None


def throughput(record: Record) -> Table | None:
    rows = [
        (
            one.times.name,
            str(one.point.batch),
            str(one.point.streams),
            "+".join(map(str, one.point.threads)),
            f"{one.times.median:.2f}",
            f"{one.times.frames_per_second:.2f}",
            f"{one.times.mean_frames_per_second:.2f}",
            "-" if one.speed_up is None else f"{one.speed_up:.2f}",
        )
        for one in record.throughput
    ]
    columns = ("model", "batch", "streams", "CPU threads", "median ms", "frames/s", "mean frames/s", "speed-up")
    title = f"Protocol D: {Protocol.THROUGHPUT.title}"
    return Table(title, columns, rows, _note(_THROUGHPUT)) if rows else None


def models(record: Record) -> Table:
    rows = []
    for model in record.models:
        height, width = model.resolution
        memory = record.memory.get(model.name)
        rows.append(
            (
                model.name,
                f"{height}x{width} {model.precision}, {model.target}",
                f"{model.input} -> {model.output}",
                str(model.classes),
                UNKNOWN if model.parameters is None else f"{model.parameters / 1e6:.2f} M",
                mebibytes(model.file_bytes),
                UNKNOWN if memory is None else mebibytes(memory.total),
                UNKNOWN if memory is None else mebibytes(memory.total - memory.before_model),
                model.backend,
            )
        )
    columns = (
        "model",
        "network",
        "input -> output",
        "classes",
        "parameters",
        "file MiB",
        "peak MiB",
        "model MiB",
        "backend",
    )
    note = (
        "parameters: numbers in the file's weights; peak MiB: most resident memory of a process of its own that opens "
        "the model and runs it three times; model MiB: that less the peak before the model was opened"
    )
    return Table("Models", columns, rows, note)


def profile(one: Profile) -> tuple[Table, Table]:
    """By part and by operator."""

    def table(title: str, shares: tuple[tuple[str, float, float], ...]) -> Table:
        rows = [
            (name, f"{ms:.3f}", f"{ms / one.total_ms:.1%}" if one.total_ms else "-", f"{calls:g}")
            for name, ms, calls in shares
        ]
        return Table("", (title, "ms", "share", "calls"), rows)

    parts, operators = (
        tuple((share.name, share.ms, share.calls) for share in shares) for shares in (one.parts, one.operators)
    )
    return table("part of the network", parts), table("operator", operators)


def facts(record: Record, about: Mapping[str, object]) -> Table:
    """The machine; `about` is describe_machine()."""
    versions = about["versions"]
    assert isinstance(versions, dict)
    memory = about["memory_bytes"]
    rows: list[tuple[str, ...]] = [
        ("processor", f"{about['cpu']}, {about['cpus']} CPUs, {machine.threads_text(record.threads)} used"),
        ("CPU features", ", ".join(machine.cpu_features()) or UNKNOWN),
        (
            "frequency governor",
            str(about["cpu_governor"] or "unknown (not set by this system, as in virtual machines)"),
        ),
        ("memory", f"{memory / 2**30:.1f} GiB" if isinstance(memory, int) else UNKNOWN),
        ("GPU and driver", "; ".join(machine.gpus()) or "none"),
    ]
    rows += [(f"GPU during {protocol.value}", text) for protocol, text in _gpu_lines(record)]
    rows += [
        ("system", str(about["system"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    return Table("Machine", (), rows)


def _gpu_lines(record: Record) -> Iterator[tuple[Protocol, str]]:
    for protocol, conditions in record.conditions.items():
        if conditions.gpu is not None:
            yield protocol, gpu_text(conditions.gpu)


def gpu_text(gpu: GpuSummary) -> str:
    """One line: clocks, power, temperature, medians of the readings."""

    def known(value: float | None, unit: str) -> str:
        return UNKNOWN if value is None else f"{value:.0f} {unit}"

    parts = [
        f"graphics clock {known(gpu.graphics_mhz, 'MHz')} (lowest {known(gpu.lowest_graphics_mhz, 'MHz')}, "
        f"of at most {known(gpu.largest_graphics_mhz, 'MHz')})",
        f"memory clock {known(gpu.memory_mhz, 'MHz')}",
        f"power {known(gpu.watts, 'W')} of at most {known(gpu.watts_limit, 'W')}",
        f"up to {known(gpu.highest_celsius, '°C')}",
        f"clocks lowered by: {UNKNOWN if gpu.reasons is None else ', '.join(gpu.reasons) or 'nothing'}",
    ]
    return ", ".join(parts)


def mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f}"


def _note(definitions: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in definitions.items())


def model_line(model: ModelFacts) -> str:
    """One line for the terminal."""
    height, width = model.resolution
    size = "" if model.parameters is None else f"{model.parameters / 1e6:.2f} M parameters, "
    network = f"{height}x{width} {model.precision} for {model.target}"
    kind = f"{network}, {model.input} -> {model.output}, {model.classes} classes"
    batch = "" if model.batch == 1 else f", batch {model.batch}"
    return f"{model.name}: {kind}{batch}, {size}{mebibytes(model.file_bytes)} MiB, {model.backend}"

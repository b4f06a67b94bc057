"""The record of a benchmark on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hyperseg_runtime import machine
from hyperseg_runtime.benchmark import tables
from hyperseg_runtime.benchmark.profile import Profile
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.benchmark.record import Record, describe_machine
from hyperseg_runtime.benchmark.tables import Table

_WIDTH = 160
"""Characters that every table fits in."""


def print_record(record: Record) -> None:
    console = _console()
    about = describe_machine()
    threads = machine.threads_text(record.threads)
    governor = "" if about["cpu_governor"] is None else f", governor {about['cpu_governor']}"
    _line(console, f"{machine.cpu_name()}, {threads}{governor}, warm-up {record.warm_up}")
    for model in record.models:
        _line(console, tables.model_line(model))
        memory = record.memory.get(model.name)
        if memory is not None:
            added = tables.mebibytes(memory.total - memory.before_model)
            peak = f"{tables.mebibytes(memory.total)} MiB, {added} of them the model"
            _line(console, f"  peak memory of a process of its own: {peak}")
    for protocol, conditions in record.conditions.items():
        if conditions.gpu is not None:
            _line(console, f"GPU during {protocol.value}: {tables.gpu_text(conditions.gpu)}")
    for table in (
        tables.latency(record, Protocol.UPLOAD_TO_DOWNLOAD),
        tables.latency(record, Protocol.DEVICE_ONLY),
        tables.side_by_side(record),
        tables.videos(record),
        tables.throughput(record),
    ):
        if table is not None:
            _print(console, table)
    for warning in record.warnings:
        _line(console, f"warning: {warning}", "yellow")
    for note in record.notes:
        _line(console, f"note: {note}")


def print_profile(profile: Profile) -> None:
    console = _console()
    batch = "" if profile.batch == 1 else f", batch {profile.batch}"
    about = f"{profile.size[0]}x{profile.size[1]}{batch}, {profile.backend}"
    _line(console, f"{profile.model}: {profile.total_ms:.2f} ms in operators, mean of {profile.runs} runs; {about}")
    for table in tables.profile(profile):
        _print(console, table)


def _console() -> Console:
    """A console wide enough for every table; a narrow terminal wraps the lines itself."""
    console = Console(soft_wrap=True)
    console.width = max(console.width, _WIDTH)
    return console


def _line(console: Console, text: str, style: str = "") -> None:
    # Text, since brackets in a file's name are no markup.
    console.print(Text(text, style), highlight=False)


def _print(console: Console, table: Table) -> None:
    made = RichTable(
        title=Text(table.title) if table.title else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    made.add_column(table.columns[0], overflow="fold")
    for name in table.columns[1:]:
        made.add_column(name, justify="right", no_wrap=True)
    for row in table.rows:
        made.add_row(*map(Text, row))
    console.print(made)
    if table.note:
        _line(console, table.note, "dim")

"""The report: gpu-check.json, and gpu-check.md for reading."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PASSED, FAILED, SKIPPED, CUT_SHORT, UNFINISHED = "passed", "failed", "skipped", "cut short", "not finished"
REHEARSED = "rehearsed"
"""Passed without a GPU."""


@dataclass
class StageResult:
    """Result of a stage: its status and the rows of its tables. A stage passes only by sending "done"."""

    name: str
    title: str
    status: str = UNFINISHED
    reason: str = ""
    seconds: float = 0.0
    tables: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unreached: str = ""
    """With --host: what only a GPU can show."""

    def add(self, message: dict[str, Any]) -> None:
        """Adds a message of the stage's process. Raises KeyError for an invalid one."""
        kind = message["kind"]
        if kind == "row":
            self.tables.setdefault(message["table"], []).append(message["row"])
            if message["row"].get("ok") is False:
                self.status = FAILED
        elif kind == "note":
            self.notes.append(message["text"])
        elif kind == "fail":
            self.status, self.reason = FAILED, message["reason"]
        elif kind == "cut" and self.status == UNFINISHED:
            self.status, self.reason = CUT_SHORT, message["reason"]
        elif kind == "skip" and self.status == UNFINISHED:
            self.status, self.reason = SKIPPED, message["reason"]
        elif kind == "done" and self.status == UNFINISHED and self.tables:
            self.status = REHEARSED if self.unreached else PASSED

    def failed_rows(self) -> str:
        """The number of failed rows, and the text of the first."""
        rows = [row for table in self.tables.values() for row in table if row.get("ok") is False]
        first = next(
            (str(row[key]) for row in rows for key in ("problem", "found", "note", "text") if row.get(key)), ""
        )
        return f"{len(rows)} of its rows failed" + (f", the first: {first[:200]}" if first else "")


@dataclass
class Report:
    machine: dict[str, Any]
    stages: list[StageResult] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(stage.status in (FAILED, CUT_SHORT, UNFINISHED) for stage in self.stages)

    @property
    def passed(self) -> bool:
        """Whether any stage passed."""
        return any(stage.status in (PASSED, REHEARSED) for stage in self.stages)

    def write(self, folder: Path) -> None:
        """Writes both files atomically. Raises OSError."""
        _replace(folder / "gpu-check.json", json.dumps(asdict(self), indent=1) + "\n")
        _replace(folder / "gpu-check.md", self.markdown())

    def markdown(self) -> str:
        lines = [f"# GPU check: {self.machine['gpu']}", ""]
        lines += [f"- {name}: {value}" for name, value in self.machine.items() if name != "gpu" and value != ""]
        if any(stage.unreached for stage in self.stages):
            lines += ["", "**Rehearsal.** The kernels ran on the CPU: no time or rate below says anything about a GPU."]
        lines += ["", "| stage | result | seconds | |", "|---|---|---|---|"]
        lines += [
            f"| {stage.title} (`{stage.name}`) | {stage.status} | {stage.seconds:.0f} | {_cell(stage.reason)} |"
            for stage in self.stages
        ]
        for stage in self.stages:
            lines += _section(stage)
        return "\n".join(lines) + "\n"


def _section(stage: StageResult) -> list[str]:
    if not (stage.tables or stage.notes or stage.unreached):
        return []
    lines = ["", f"## {stage.title}", ""]
    lines += [f"{note}\n" for note in stage.notes]
    for name, rows in stage.tables.items():
        lines += [f"### {name}", "", *markdown_table(rows), ""]
    if stage.unreached:
        lines.append(f"Not reached without a GPU: {stage.unreached}.")
    return lines


def markdown_table(rows: Iterable[Row]) -> list[str]:
    """Formats rows as a table with a column for each key, in order of first appearance."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(_cell(row.get(column, '')) for column in columns)} |" for row in rows]


def _cell(value: Any) -> str:
    if value is True or value is False:
        return "yes" if value else "**no**"
    if isinstance(value, float):
        value = f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    text = "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

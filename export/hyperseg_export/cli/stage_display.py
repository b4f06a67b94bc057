"""Display of progress on stderr: a bar on a terminal, elsewhere one line for each completed stage."""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hyperseg_export.progress import Step


class StageDisplay:
    """Context in which the steps of an operation are shown. The bar disappears with its end, also after Ctrl-C.

    Lines are written when a stage is complete, so that an error in the first stage is the only line on stderr.

    Args:
        first: what happens before the first stage, e.g. "loading PyTorch".
        lines: whether lines may be written where stderr is no terminal; not with --json.
    """

    def __init__(self, first: str, lines: bool) -> None:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._lines = lines and not terminal
        self._step: Step | None = None
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not terminal,
            redirect_stdout=False,
            transient=True,
        )
        self._task = self._bar.add_task(escape(first), total=None, detail="")

    def __enter__(self) -> StageDisplay:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is None:
            self._complete()

    def show(self, step: Step) -> None:
        """Show a step."""
        if self._step is None or step.number != self._step.number:
            self._complete()
            self._bar.reset(self._task, total=None, description=escape(_title(step)), detail="")
        total = None if step.share is None else 1.0
        detail = escape(f"{step.detail:.48}")
        self._bar.update(self._task, total=total, completed=step.share or 0.0, detail=detail)
        self._step = step

    def note(self, text: str) -> None:
        """Print a line on stderr, above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _complete(self) -> None:
        """Write the line of the stage that has ended."""
        now = time.monotonic()
        if self._step is not None:
            if self._lines:
                click.echo(f"{_title(self._step)}: {now - self._started:.1f} s", err=True)
            self._started = now


def _title(step: Step) -> str:
    return f"[{step.number}/{step.count}] {step.stage}"

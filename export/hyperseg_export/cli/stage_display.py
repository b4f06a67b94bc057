"""Display of progress on stderr, where stdout and stderr are a terminal: a bar, or a line for each stage."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hyperseg_export.progress import Step


class StageDisplay:
    """Context in which the steps of an operation are shown. The bar disappears with its end, also after Ctrl-C.

    A terminal that cannot move its cursor (TERM=dumb) gets a line for each stage.

    Args:
        first: what happens before the first stage, e.g. "loading PyTorch".
    """

    def __init__(self, first: str) -> None:
        terminal = all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
        console = Console(stderr=True)
        self._lines = terminal and console.is_dumb_terminal
        self._step: Step | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not terminal or self._lines,
            redirect_stdout=False,
            transient=True,
        )
        self._task = self._bar.add_task(escape(first), total=None, detail="")

    def __enter__(self) -> StageDisplay:
        if not self._bar.disable:  # rich 13.7 prints an empty line for one that is disabled
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bar.disable:
            self._bar.stop()

    def show(self, step: Step) -> None:
        """Show a step."""
        if self._step is None or step.number != self._step.number:
            if self._lines:
                self.note(_title(step))
            # Progress.reset would keep the last stage's total, and show one that is not divided as 0 %.
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escape(_title(step)), total=None, detail="")
        total = None if step.share is None else 1.0
        detail = escape(f"{step.detail:.48}")
        self._bar.update(self._task, total=total, completed=step.share or 0.0, detail=detail)
        self._step = step

    def note(self, text: str) -> None:
        """Print a line on stderr, above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _title(step: Step) -> str:
    return f"[{step.number}/{step.count}] {step.stage}"

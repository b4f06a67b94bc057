"""Progress of a long operation: its stages in order, and the share of the current one that is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What an operation has come to.

    Attributes:
        number: of the stage, from 1.
        count: number of stages.
        stage: its name.
        share: of the stage that is done, 0 to 1; None where it is not divided.
        detail: the part of the stage, e.g. "image 2 of 3".
    """

    number: int
    count: int
    stage: str
    share: float | None = None
    detail: str = ""


Progress = Callable[[Step], None]
Part = Callable[[int, int], None]
"""Receives the number of the part that begins, from 1, and the number of parts."""


class Stages:
    """Reports the stages of an operation to a listener."""

    def __init__(self, count: int, listener: Progress | None = None) -> None:
        self._listener = listener
        self._step = Step(0, count, "")

    def begin(self, stage: str) -> None:
        """The next stage begins."""
        self._report(Step(self._step.number + 1, self._step.count, stage))

    def part(self, kind: str, number: int, count: int, name: str = "") -> None:
        """Part `number` of `count` of the stage begins; `kind` is what the parts are, e.g. "image"."""
        detail = f"{kind} {number} of {count}{f', {name}' if name else ''}"
        self.share((number - 1) / max(count, 1), detail)

    def share(self, share: float | None, detail: str) -> None:
        """A share of the stage is done."""
        self._report(Step(self._step.number, self._step.count, self._step.stage, share, detail))

    def images(self, number: int, count: int) -> None:
        """Image `number` of `count` begins; a `Part`."""
        self.part("image", number, count)

    def _report(self, step: Step) -> None:
        self._step = step
        if self._listener is not None:
            self._listener(step)

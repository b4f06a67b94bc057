"""Ctrl-C as a wish: the run finishes its frame, closes its files, and keeps what was done."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Stopping:
    """Within it, the first SIGINT or SIGTERM sets `asked`; a second one interrupts as usual."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False
        self._before: list[object] = []

    def __enter__(self) -> Stopping:
        self._before = [signal.signal(number, self._ask) for number in self._SIGNALS]
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(self._SIGNALS, self._before, strict=True):
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave is what it takes

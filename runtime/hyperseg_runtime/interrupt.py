"""Signals during a run: the first one lets it finish its frame and close its files."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


def ending_signals() -> list[signal.Signals]:
    """The signals that ask a command to end: SIGINT, SIGTERM, and SIGHUP unless it is ignored, as under nohup."""
    found = [signal.SIGINT, signal.SIGTERM]
    hang_up: signal.Signals | None = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        found.append(hang_up)
    return found


class GracefulInterrupt:
    """Within it, the first of `ending_signals` sets `requested`, so that the run can finish its frame and close its
    files; a second one interrupts as usual."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> GracefulInterrupt:
        self._before = {number: signal.signal(number, self._handle) for number in ending_signals()}
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave is what it takes

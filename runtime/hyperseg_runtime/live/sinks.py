"""Sinks of runs at the same time: files that they share, and windows, which only the main thread may draw."""

from __future__ import annotations

import threading

from hyperseg_runtime.output.sinks import Result, Sink, WindowClosedError, WindowSink


class SharedSink(Sink):
    """Writes into a file that other sources write into from their own threads; its owner closes the file."""

    def __init__(self, sink: Sink, lock: threading.Lock) -> None:
        """lock: one for each file."""
        self._sink, self._lock = sink, lock

    def write(self, result: Result) -> None:
        with self._lock:
            self._sink.write(result)


class Windows:
    """A window for each source. `show` draws the newest frame of each, in the thread that calls it."""

    def __init__(self) -> None:
        self._panes: list[_Pane] = []
        self.closed = False
        """Whether the user closed one, or pressed q in it."""

    def pane(self, name: str) -> Sink:
        """The sink for one source. name: for the window's title. Raises OutputError where no window can be opened."""
        pane = _Pane(WindowSink(f"HyperSeg: {name}"))
        self._panes.append(pane)
        return pane

    def show(self) -> None:
        for pane in self._panes:
            try:
                pane.draw()
            except WindowClosedError:
                self.closed = True

    def close(self) -> None:
        for pane in self._panes:
            pane.window.close()


class _Pane(Sink):
    """Keeps the newest frame of a source for the main thread."""

    def __init__(self, window: WindowSink) -> None:
        self.window = window
        self._newest: Result | None = None

    def write(self, result: Result) -> None:
        self._newest = result

    def draw(self) -> None:
        newest, self._newest = self._newest, None
        if newest is not None:
            self.window.write(newest)

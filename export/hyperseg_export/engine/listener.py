"""Who hears of a build while it runs."""

from __future__ import annotations

from typing import Protocol


class BuildListener(Protocol):
    """Called from the thread that called `build_engine`."""

    def progress(self, phase: str, share: float) -> None:
        """TensorRT works on `phase`; `share` of the whole is done, 0 to 1."""

    def message(self, text: str) -> None:
        """TensorRT said something (information, warning or error)."""


class NullListener:
    """Hears of nothing."""

    def progress(self, phase: str, share: float) -> None:
        pass

    def message(self, text: str) -> None:
        pass

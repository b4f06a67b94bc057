"""The error on a label file with values or colours that no class has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.errors import DataError

_SHOWN = 5


class LabelValueError(DataError):
    """A label file has values or colours that are neither a class nor void.

    Attributes:
        file: the label file.
        counts: pixels by value, or by colour as "(r, g, b)", the most frequent first.
    """

    def __init__(self, file: Path, counts: Mapping[str, int], ending: str) -> None:
        self.file, self.counts = file, dict(counts)
        what = "colour" if next(iter(counts)).startswith("(") else "label value"
        first = list(self.counts.items())[:_SHOWN]
        listed = ", ".join(f"{value} ({count:,} pixel{'s' * (count != 1)})" for value, count in first)
        more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
        super().__init__(f"{file} has the {what}{'s' * (len(counts) > 1)} {listed}{more}, {ending}")


def count_values(values: NDArray[Any]) -> dict[str, int]:
    """Pixels by label value, the most frequent first."""
    return {str(value): count for value, count in _counted(values)}


def count_colours(codes: NDArray[Any]) -> dict[str, int]:
    """Pixels by colour, the most frequent first; a colour is coded as red << 16 | green << 8 | blue."""
    return {f"({code >> 16}, {code >> 8 & 255}, {code & 255})": count for code, count in _counted(codes)}


def _counted(values: NDArray[Any]) -> list[tuple[int, int]]:
    found, counts = np.unique(values, return_counts=True)
    return [(int(found[i]), int(counts[i])) for i in np.argsort(-counts, kind="stable")]

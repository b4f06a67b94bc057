"""The worst errors that the tests met, as shares of what rounding explains. `pytest --worst FILE` writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Worst:
    """Of one kind of comparison."""

    share: float = 0.0
    """Error over bound: at most 1, or a test failed."""
    error: float = 0.0
    """The largest one, whatever its bound."""


_kinds: dict[str, Worst] = {}


def note(kind: str, error: Any, bound: Any) -> None:
    """Remembers a comparison.

    Args:
        kind: what was compared, e.g. an operator.
        error: absolute errors, a number or an array.
        bound: what rounding explains of each.
    """
    found = _kinds.setdefault(kind, Worst())
    found.share = max(found.share, float(np.max(np.asarray(error) / np.asarray(bound))))
    found.error = max(found.error, float(np.max(error)))


def write(path: Path) -> None:
    """Adds what this process met to what the file holds."""
    known = json.loads(path.read_text()) if path.exists() else {}
    for kind, found in _kinds.items():
        share, error = known.get(kind, (0.0, 0.0))
        known[kind] = (max(share, found.share), max(error, found.error))
    path.write_text(json.dumps(known, indent=1, sort_keys=True))

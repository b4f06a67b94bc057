"""Records the worst errors of a test run as shares of their bounds. `pytest --worst FILE` writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Worst:
    """The worst errors of one kind of comparison."""

    share: float = 0.0
    """Error over bound: at most 1, or a test failed."""
    error: float = 0.0
    """The largest one, whatever its bound."""


_BACKENDS = {
    "tests/native/test_vectors.py": "ONNX Runtime, ours",
    "tests/native/test_labels.py": "labels of any size",
    "tests/hyperseg/test_operators.py": "PyTorch",
    "tests/hyperseg/test_parity.py": "PyTorch",
    "tests/hyperseg/test_networks.py": "PyTorch",
    "tests/export/test_standard_operators.py": "OpenVINO",
    "tests/export/test_export_onnx.py": "ONNX Runtime",
    "tests/packaging/test_models.py": "ONNX Runtime",
}
"""Backend whose results a test module compares; other modules are not recorded."""

_kinds: dict[str, Worst] = {}
_listeners: list[list[float]] = []


@contextmanager
def recorded() -> Iterator[list[float]]:
    """Collects the shares of all comparisons within the context."""
    shares: list[float] = []
    _listeners.append(shares)
    try:
        yield shares
    finally:
        _listeners.remove(shares)


def note(kind: str, error: Any, bound: Any) -> None:
    """Records a comparison.

    Args:
        kind: what was compared, e.g. an operator.
        error: absolute errors, a number or an array.
        bound: the bound of each.
    """
    share = float(np.max(np.asarray(error) / np.asarray(bound)))
    for shares in _listeners:
        shares.append(share)
    module = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
    if module not in _BACKENDS:
        return
    found = _kinds.setdefault(f"{_BACKENDS[module]}: {kind}", Worst())
    found.share = max(found.share, share)
    found.error = max(found.error, float(np.max(error)))


def write(path: Path) -> None:
    """Merges the records of this process into the file."""
    known = json.loads(path.read_text()) if path.exists() else {}
    for kind, found in _kinds.items():
        share, error = known.get(kind, (0.0, 0.0))
        known[kind] = (max(share, found.share), max(error, found.error))
    path.write_text(json.dumps(known, indent=1, sort_keys=True))

"""Compares the outputs of two implementations of a network within the bound of their rounding errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import worst
from hyperseg_export.rounding import Bound, disturbed
from torch import Tensor


def assert_explained(
    kind: str, actual: Tensor, expected: Tensor, model: Any, run: Callable[[Any], Tensor], **options: Any
) -> None:
    """Compares `actual` with `expected` within the distance that rounding moves `run(model)`, the model's own result.

    Args:
        kind: what is compared, for the table of the worst errors.
        options: of `disturbed`.
    """
    assert actual.shape == expected.shape
    with torch.inference_mode():
        own = run(model)
        bound = Bound.of(run(disturbed(model, **options)) - own, own)
    error = (actual - expected).abs()
    worst.note(kind, float(error.max()), bound.largest)
    assert float(error.max()) <= bound.largest, f"off by {error.max():.2g}; rounding explains {bound.largest:.2g}"
    assert float(error.mean()) <= bound.mean, (
        f"off by {error.mean():.2g} on average; rounding explains {bound.mean:.2g}"
    )

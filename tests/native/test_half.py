"""float16 in and out of the CPU operators: every value, rounded to the nearest, with and without F16C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from native.graphs import one_node_model, run, session


def scaled(values: NDArray[np.float16], factor: np.float16, library: Path) -> NDArray[np.float16]:
    """`values` times `factor`, by a DPWConv of one channel: converted to float32, multiplied, converted back."""
    inputs = {"X": values.reshape(1, 1, -1, 16), "theta": np.full((1, 1, 1, 1, 1), factor, np.float16)}
    model = one_node_model("DPWConv", inputs, {"kernel_shape": [1, 1]}, output=10)
    result = run(session(model, library), inputs)[0]
    return np.asarray(result).reshape(values.shape)


@pytest.mark.numerics
@settings(max_examples=12, deadline=None, derandomize=True)
@given(bits=st.integers(0, 0x7BFF))
def test_all_values_times_any(bits: int, library: Path) -> None:
    """Denormal numbers, overflow to infinity, infinities and NaN included; ties go to even."""
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    factor = np.uint16(bits).view(np.float16)
    with np.errstate(all="ignore"):
        expected = (values.astype(np.float32) * np.float32(factor)).astype(np.float16)
    actual = scaled(values, factor, library)
    assert np.array_equal(np.isnan(actual), np.isnan(expected))
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(actual[finite], expected[finite])

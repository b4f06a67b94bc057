"""The reference against hand-made answers and against a second implementation in PyTorch."""

from typing import Any

import numpy as np
import pytest
from vectors import (
    CASES,
    FUSED_MAPPER_CASES,
    MBCONV_CASES,
    META_BLOCK_CASES,
    TARGET_CASES,
    Case,
    by_operator,
    check_each,
    compare,
    expected,
    reference,
)

_WHOLE_PIXELS = [
    case
    for case in TARGET_CASES
    if all(number == int(number) for number in case.whole_window) and min(case.whole_window) >= 0
]
_ALL = by_operator([*CASES, *FUSED_MAPPER_CASES, *META_BLOCK_CASES, *MBCONV_CASES, *_WHOLE_PIXELS])


@pytest.mark.parametrize("operator", by_operator(CASES))
def test_reference_has_the_declared_shape_and_finite_values(operator: str) -> None:
    def check(case: Case) -> None:
        result = expected(case)
        assert result.shape == case.output_shape
        assert np.isfinite(result).all()
        assert np.abs(result).max() < 1e3, "poison was read"

    check_each(by_operator(CASES)[operator], check)


@pytest.mark.parametrize("operator", _ALL)
def test_a_second_implementation_agrees(operator: str) -> None:
    """Both in float64, so far closer than the bounds that backends are compared within."""
    pytest.importorskip("torch")
    from .independent import output

    def check(case: Any) -> None:
        inputs = {name: None if value is None else value.astype(np.float64) for name, value in case.inputs().items()}
        np.testing.assert_allclose(compare.evaluated(case, inputs), output(case).numpy(), rtol=1e-9, atol=1e-9)

    check_each(_ALL[operator], check)


def test_names_are_unique() -> None:
    cases = [*CASES, *TARGET_CASES]
    assert len({case.name for case in cases}) == len(cases)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((0.0, 4.0), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]),
        ((1.0, 2.0), [1.0, 1.0, 1.125, 1.375, 1.625, 1.875, 2.0, 2.0]),  # its outermost pixels, not their neighbours
        ((0.5, 2.0), [0.5, 0.5, 0.625, 0.875, 1.125, 1.375, 1.5, 1.5]),
        ((1.75, 0.5), [1.5] * 8),  # less than a pixel: its middle
        ((-2.0, 8.0), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 3.0, 3.0]),  # never beyond the map
    ],
)
def test_windows_of_a_ramp(window: tuple[float, float], expected: list[float]) -> None:
    ramp = np.arange(4.0).reshape(1, 1, 1, 4)
    begin, length = window
    np.testing.assert_allclose(reference.enlarge(ramp, (1, 8), (0.0, begin, 1.0, length))[0, 0, 0], expected)


def test_composed_input_puts_x_before_y_and_previous_last() -> None:
    full = reference.compose(np.full((1, 1, 2, 4), 5.0), np.array([[[[1.0, 3.0]]]]), coordinates=True)
    np.testing.assert_allclose(full[0, 0], [[-1, -1 / 3, 1 / 3, 1]] * 2)
    np.testing.assert_allclose(full[0, 1], [[-1] * 4, [1] * 4])
    np.testing.assert_allclose(full[0, 2], 5.0)
    np.testing.assert_allclose(full[0, 3], [[1.0, 1.5, 2.5, 3.0]] * 2)


def test_pieces_change_the_layout_only() -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((1, 1, 2, 2, 12))
    cut = weights.reshape(1, 2, 2, 3, 4).transpose(0, 3, 1, 2, 4)
    np.testing.assert_array_equal(reference.patch_weights(cut, 2, 9), weights[:, 0, ..., 2:11])


def test_one_patch_is_an_ordinary_convolution() -> None:
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    mean = np.full((1, 1, 1, 1, 9), 1 / 9)
    y = reference.dpw_conv(x, mean, kernel_shape=(3, 3))
    assert y[0, 0, 1, 1] == pytest.approx(4.0)
    # Reflect padding: the corner sees 4 3 4 / 1 0 1 / 4 3 4.
    assert y[0, 0, 0, 0] == pytest.approx((4 * 4 + 2 * 3 + 2 * 1) / 9)

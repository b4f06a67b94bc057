"""Agreement of two implementations: differences within rounding errors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hyperseg_export.errors import DisagreementError  # noqa: E402
from hyperseg_export.rounding import FACTOR  # noqa: E402
from hyperseg_export.verification import Agreement  # noqa: E402
from hyperseg_runtime.metadata import Precision  # noqa: E402

EXPECTED = torch.randn(1, 5, 20, 30, generator=torch.Generator().manual_seed(0))
SIGNS = torch.randint(0, 2, EXPECTED.shape, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0
ROUNDED = EXPECTED + 1e-3 * SIGNS
"""What rounding does to the network: every value is moved by a thousandth."""


def compared(found: torch.Tensor, disturbed: torch.Tensor = ROUNDED) -> Agreement:
    agreement = Agreement(Precision.FLOAT32)
    agreement.compare_logits(found, EXPECTED, disturbed)
    return agreement


def with_labels(labels: np.ndarray, bound: float, logits: torch.Tensor = EXPECTED) -> Agreement:
    agreement = compared(EXPECTED)
    agreement.compare_labels(labels, logits, bound)
    return agreement


def test_equal_logits_agree() -> None:
    agreement = compared(EXPECTED)
    agreement.check()
    assert agreement.result().label_agreement == 1.0
    assert agreement.result().max_abs_error == 0.0
    assert agreement.result().rounding == pytest.approx(FACTOR * 1e-3, rel=1e-3)


def test_what_rounding_does_is_excused_and_no_more() -> None:
    compared(EXPECTED - 0.99 * FACTOR * 1e-3 * SIGNS).check()
    with pytest.raises(DisagreementError, match=r"logits: off by up to 0\.0048; the rounding bound is 0\.004"):
        compared(EXPECTED - 1.2 * FACTOR * 1e-3 * SIGNS).check()


def test_one_amplified_value_does_not_excuse_the_others() -> None:
    """The largest error is compared with the largest effect of rounding, the mean error with the mean effect."""
    amplified = EXPECTED.clone()
    amplified[0, 0, 0, 0] += 1.0
    with pytest.raises(DisagreementError, match=r"off by on average 0\.002"):
        compared(EXPECTED + 2e-3 * SIGNS, amplified).check()


def test_a_network_that_rounding_does_not_move_may_not_be_moved() -> None:
    with pytest.raises(DisagreementError, match=r"off by up to 1e-05"):
        compared(EXPECTED + 1e-5, EXPECTED).check()


def test_every_label_but_a_tie_counts() -> None:
    largest = EXPECTED.numpy().argmax(axis=1)
    second = np.argsort(EXPECTED.numpy(), axis=1)[:, -2]
    top = np.sort(EXPECTED.numpy(), axis=1)
    margin = top[:, -1] - top[:, -2]
    apart, near = np.argwhere(margin > 0.1)[0], np.argwhere(margin < 0.1)[0]
    labels = largest.copy()
    labels[tuple(near)] = second[tuple(near)]
    agreement = with_labels(labels, bound=0.05)
    agreement.check()
    assert agreement.result().label_agreement == 1.0
    assert agreement.result().label_ties == 1 / 600
    labels[tuple(apart)] = second[tuple(apart)]
    agreement = with_labels(labels, bound=0.05)
    assert agreement.result().label_agreement == 1 - 1 / 600
    with pytest.raises(DisagreementError, match=r"labels: 1 of 600 differ where the network's two logits are further"):
        agreement.check()


def test_a_tie_is_between_the_label_and_the_largest_not_between_any_two() -> None:
    flat = torch.zeros_like(EXPECTED)
    flat[:, 4] = -1.0
    with_labels(np.full((1, 20, 30), 3), 1e-3, flat).check()
    with pytest.raises(DisagreementError, match="labels: 600 of 600 differ"):
        with_labels(np.full((1, 20, 30), 4), 1e-3, flat).check()


def test_labels_that_are_no_class_are_no_ties() -> None:
    with pytest.raises(DisagreementError, match="labels: 600 of 600 differ"):
        with_labels(np.full((1, 20, 30), 5), 1e-3, torch.zeros_like(EXPECTED)).check()


def test_labels_are_those_of_the_files_own_logits() -> None:
    """However far the network's are."""
    agreement = compared(EXPECTED)
    agreement.compare_end(EXPECTED.numpy().argmax(axis=1), EXPECTED, EXPECTED)
    agreement.check()
    labels = EXPECTED.numpy().argmax(axis=1)
    labels[0, 0, :3] = (labels[0, 0, :3] + 1) % 5
    agreement.compare_end(labels, None, EXPECTED)
    with pytest.raises(DisagreementError, match="labels: 3 are not those of the file's own largest logits"):
        agreement.check()


def test_enlarged_logits_are_interpolated_exactly() -> None:
    agreement = compared(EXPECTED)
    agreement.compare_end(None, EXPECTED + 1e-4, EXPECTED)
    with pytest.raises(DisagreementError, match=r"upsampled logits: off by up to 0\.0001"):
        agreement.check()


def test_values_that_are_not_finite_never_agree() -> None:
    found = EXPECTED.clone()
    found[0, 0, 0, 0] = torch.nan
    with pytest.raises(DisagreementError, match="not finite"):
        compared(found)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_values_that_fade_out_may_be_zero(precision: Precision) -> None:
    """As those of untrained networks do, into numbers that one implementation flushes."""
    size = 1e-36 if precision is Precision.FLOAT32 else 2.0**-28
    agreement = Agreement(precision)
    agreement.compare_logits(torch.zeros_like(EXPECTED), size * EXPECTED, size * EXPECTED)
    agreement.compare_end(np.zeros((1, 20, 30), np.int64), torch.zeros_like(EXPECTED), size * EXPECTED)
    agreement.check()


def test_eight_bits_are_measured_only() -> None:
    agreement = Agreement(Precision.INT8)
    agreement.compare_logits(EXPECTED + 1.0, EXPECTED, EXPECTED)
    agreement.check()
    assert agreement.result().max_abs_error == pytest.approx(1.0)
    assert agreement.result().rounding is None

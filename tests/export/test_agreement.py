"""What counts as agreement."""

from __future__ import annotations

import numpy as np
import pytest
from hyperseg_export.agreement import Agreement
from hyperseg_export.errors import DisagreementError
from hyperseg_export.rounding import Rounding
from hyperseg_runtime.metadata import Precision

EXPECTED = np.random.default_rng(0).standard_normal((1, 5, 20, 30)).astype(np.float32)
NONE = Rounding(largest=1e-7, mean=1e-8)


def compared(logits: np.ndarray, labels: np.ndarray | None = None, rounding: Rounding = NONE) -> Agreement:
    agreement = Agreement(Precision.FLOAT32)
    agreement.add(EXPECTED, logits, EXPECTED, labels, lambda: rounding)
    return agreement


def test_equal_logits_agree() -> None:
    agreement = compared(EXPECTED)
    agreement.check()
    assert agreement.result().label_agreement == 1.0
    assert agreement.result().max_abs_error == 0.0


def test_an_error_beyond_the_tolerance_is_named() -> None:
    with pytest.raises(DisagreementError, match=r"off by up to 0\.001"):
        compared(EXPECTED + np.float32(1e-3)).check()


def test_a_network_that_amplifies_rounding_is_measured_by_its_own() -> None:
    agreement = compared(EXPECTED + np.float32(1e-3), rounding=Rounding(largest=2e-4, mean=1e-4))
    agreement.check()
    assert agreement.result().rounding == 2e-4
    assert compared(EXPECTED).result().rounding is None


def test_one_amplified_value_does_not_excuse_the_others() -> None:
    """The maximum of the errors is allowed by the largest effect of rounding, their mean by the mean effect only."""
    with pytest.raises(DisagreementError, match=r"off by on average 0\.001"):
        compared(EXPECTED + np.float32(1e-3), rounding=Rounding(largest=1.0, mean=1e-6)).check()


def test_labels_must_be_equal_though_rounding_could_have_done_more() -> None:
    """Only pixels that the measured error can turn are ties, not all that the largest excusable error could."""
    logits = EXPECTED + np.float32(1e-3)
    labels = EXPECTED.argmin(axis=1)
    with pytest.raises(DisagreementError, match="of the exported file's labels"):
        compared(logits, labels, Rounding(largest=1.0, mean=1.0)).check()


def test_wrong_labels_are_counted_though_logits_agree() -> None:
    labels = EXPECTED.argmax(axis=1)
    labels[0, 0, :3] = (labels[0, 0, :3] + 1) % 5
    agreement = compared(EXPECTED, labels)
    assert agreement.result().label_agreement == 1 - 3 / 600
    with pytest.raises(DisagreementError, match=r"only 99\.5000% of the exported file's labels"):
        agreement.check()


def test_ties_are_no_disagreement() -> None:
    flat = np.zeros_like(EXPECTED)
    agreement = Agreement(Precision.FLOAT32)
    agreement.add(flat, flat, flat, np.full((1, 20, 30), 4), lambda: NONE)
    agreement.check()


def test_values_that_are_not_finite_never_agree() -> None:
    logits = EXPECTED.copy()
    logits[0, 0, 0, 0] = np.nan
    with pytest.raises(DisagreementError, match="not finite"):
        compared(logits)

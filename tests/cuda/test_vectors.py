"""The CUDA kernels on the shared test vectors, executed on the CPU in three orders of the threads of a block."""

import numpy as np
import pytest
from vectors import (
    CASES,
    Case,
    DPWInvertedResidualCase,
    MapLayout,
    Placement,
    UpsampleArgmaxCase,
    assert_matches,
    expected,
)

from .kernels import Kernels


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_matches_reference(case: Case, order: str, kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    assert_matches(case, kernels.run(case))


# Rows that leave pieces aligned, where their own length does, and rows that do not.
_PLACEMENTS = [
    pytest.param(Placement(MapLayout.PIXELS, before=4, behind=4), id="pixels"),
    pytest.param(Placement(MapLayout.PIXELS8, before=3, behind=2), id="padded-pixels"),
]
_PLACED = [case for case in CASES if not isinstance(case, UpsampleArgmaxCase)]


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
@pytest.mark.parametrize("placement", _PLACEMENTS)
@pytest.mark.parametrize("case", _PLACED, ids=lambda case: case.name)
def test_places_of_inputs_change_nothing(
    case: Case, placement: Placement, order: str, kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    assert_matches(case, kernels.run(case, placement))


_HALVES = [case for case in CASES if case.dtype == "float16" and not isinstance(case, UpsampleArgmaxCase)]


@pytest.mark.parametrize("case", _HALVES, ids=lambda case: case.name)
def test_halves_lose_nothing_but_the_rounding_of_inputs_and_output(case: Case, kernels: Kernels) -> None:
    """Tighter than the tolerance that all backends share: the kernels sum exact products of halves in float32.

    Rounding the output to half costs 2^-11 of it. Tensor cores take the composed map as half, so an upsampled or
    coordinate value x costs another 2^-11 |x| in each of its products; with |x| < 6 and sums of C products of weights
    of size 1/sqrt(C), that stays below 2^-11 * 6. Hidden values are not rounded (two halves each). Float32 sums of some
    hundred terms of size 1 cost 1e-5.
    """
    assert not isinstance(case, UpsampleArgmaxCase)
    interpolates = case.coordinates or case.previous_channels > 0
    # The meta block's weights amplify (see vectors/cases.py): twice, twice, half.
    gain = 6.0 if isinstance(case, DPWInvertedResidualCase) or case.coordinates else 24.0
    absolute = 1e-4 + (2.0**-11 * gain if interpolates else 0.0)
    result = kernels.run(case).astype(np.float64)
    np.testing.assert_allclose(result, expected(case), rtol=2.0**-11 * 1.01, atol=absolute)


def test_floats_are_within_a_ten_thousandth(kernels: Kernels) -> None:
    for case in CASES:
        if case.dtype == "float32" and not isinstance(case, UpsampleArgmaxCase):
            np.testing.assert_allclose(kernels.run(case), expected(case), rtol=1e-5, atol=1e-4, err_msg=case.name)

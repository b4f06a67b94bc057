"""The CUDA kernels on the shared test vectors, executed on the CPU in three orders of the threads of a block."""

import pytest
from vectors import CASES, IN_FLOAT32, Arithmetic, Case, MapLayout, Placement, UpsampleArgmaxCase, assert_matches
from vectors.inexact import FLOAT16

from .kernels import Kernels

_HALVES = Arithmetic(factors=4)
"""Exact products of halves, summed in float32; hidden values are two halves each, so to 2^-22: four roundings."""
_COMPOSED_HALVES = Arithmetic(composed=FLOAT16, factors=4)
"""Tensor cores take the composed map as half, too; without glue it is X, which is half already."""


def arithmetic(case: Case) -> Arithmetic:
    """What the kernels round beside their float32 sums."""
    if case.dtype == "float32" or isinstance(case, UpsampleArgmaxCase):
        return IN_FLOAT32
    return _COMPOSED_HALVES if case.coordinates or case.previous_channels else _HALVES


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_matches_reference(case: Case, order: str, kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    assert_matches(case, kernels.run(case), arithmetic(case))


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
    assert_matches(case, kernels.run(case, placement), arithmetic(case))

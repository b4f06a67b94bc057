"""The CUDA kernels on the shared test vectors, executed on the CPU in three orders of the threads of a block."""

import pytest
from vectors import CASES, PADDED_ROWS, UNEVEN_ROWS, Case, Placement, UpsampleArgmaxCase, assert_matches, on_cuda

from .kernels import Kernels


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_matches_reference(case: Case, order: str, kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    assert_matches(case, kernels.run(case), on_cuda(case))


_PLACEMENTS = [pytest.param(PADDED_ROWS, id="pixels"), pytest.param(UNEVEN_ROWS, id="padded-pixels")]
_PLACED = [case for case in CASES if not isinstance(case, UpsampleArgmaxCase)]


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
@pytest.mark.parametrize("placement", _PLACEMENTS)
@pytest.mark.parametrize("case", _PLACED, ids=lambda case: case.name)
def test_places_of_inputs_change_nothing(
    case: Case, placement: Placement, order: str, kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    assert_matches(case, kernels.run(case, placement), on_cuda(case))

"""The CUDA kernels on the test vectors, executed on the CPU, in every memory layout and thread order."""

import pytest
from cuda_on_cpu.kernels import THREAD_ORDERS, Kernels, thread_order
from vectors import CASES, TARGET_CASES, assert_matches, by_vector, labelled, on_cuda, placements_of

_VECTORS = by_vector([*CASES, *TARGET_CASES])


@pytest.mark.parametrize("vector", _VECTORS)
def test_kernel_matches_reference(vector: str, kernels: Kernels) -> None:
    for case in _VECTORS[vector]:
        for layout, placement in placements_of(case).items():
            for order in THREAD_ORDERS:
                with labelled(f"{case.dtype}, {layout}, {order} thread order"), thread_order(order):
                    assert_matches(case, kernels.run(case, placement), on_cuda(case))

"""Limits on registers, spills and shared memory of the compiled kernels, on every architecture."""

import shutil

import pytest
from kernel_cost import resources

_ARCHITECTURES = [
    architecture if architecture == 86 else pytest.param(architecture, marks=pytest.mark.exhaustive)
    for architecture in resources.ARCHITECTURES
]


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed")
    if resources.nvdisasm() is None:
        pytest.skip("nvdisasm is not installed (pip install nvidia-cuda-nvdisasm)")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", _ARCHITECTURES)
def test_kernels_stay_within_their_resources(architecture: int) -> None:
    table = resources.measure(architecture)
    assert table
    for row in table:
        assert row.spill_bytes == 0 and row.stack_bytes == 0, row
        assert row.local_memory_instructions == 0, row
        assert row.static_shared_bytes == 0, "only dynamic shared memory can be poisoned in the tests"
        assert (row.tensor_instructions > 0) == ("Tensor" in row.kernel), row
    release, committed = resources.read_committed()
    if release == resources.compiler_release():
        remedy = "if that is intended, run `PYTHONPATH=tools python -m kernel_cost.resources --write`"
        assert table == [row for row in committed if row.architecture == architecture], remedy

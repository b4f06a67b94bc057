"""The mutation test of the barriers, on one file; on all files it takes many minutes."""

from pathlib import Path

import pytest
from cuda_on_cpu.build import KERNELS
from kernel_cost.remove_barriers import Barrier, barriers, noticed_by

_ARGMAX = [barrier for barrier in barriers() if barrier.file == "upsample_argmax.cu"]


def test_it_knows_every_barrier() -> None:
    """Barriers of every file, with a program that includes the file."""
    found = list(barriers())
    assert {barrier.program for barrier in found} == {path.name for path in KERNELS.glob("*.cu")}
    sources = "".join(path.read_text() for path in [*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")])
    assert len(found) == sources.count("__syncthreads();") > 10


@pytest.mark.parametrize("barrier", _ARGMAX, ids=lambda barrier: f"{barrier.file}:{barrier.line}")
def test_a_removed_barrier_is_noticed(barrier: Barrier, kernel_library: Path) -> None:
    assert noticed_by(barrier, kernel_library.parent) is not None

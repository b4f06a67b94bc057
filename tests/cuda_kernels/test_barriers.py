"""The script that removes barriers does what it says. It takes many minutes; here it removes one."""

from pathlib import Path

import pytest

from .build import KERNELS
from .remove_barriers import Barrier, barriers, noticed_by

_ARGMAX = [barrier for barrier in barriers() if barrier.file == "upsample_argmax.cu"]


def test_it_knows_every_barrier() -> None:
    """Of every file, with a program that the file is part of."""
    found = list(barriers())
    assert {barrier.program for barrier in found} == {path.name for path in KERNELS.glob("*.cu")}
    sources = "".join(path.read_text() for path in [*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")])
    assert len(found) == sources.count("__syncthreads();") > 10


@pytest.mark.parametrize("barrier", _ARGMAX, ids=lambda barrier: f"{barrier.file}:{barrier.line}")
def test_a_removed_barrier_is_noticed(barrier: Barrier, kernel_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", "forward")  # and so restored afterwards
    assert noticed_by(barrier, kernel_library.parent) is not None

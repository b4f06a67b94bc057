"""The vectors of labels of any size in libhyperseg_cpu.so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.native_labels import CpuLabels
from hyperseg_runtime.upsampling import Placement, Window
from vectors import TARGET_CASES, assert_matches, by_vector, labelled

_VECTORS = by_vector([case for case in TARGET_CASES if case.label_dtype == "uint8"])


@pytest.fixture(scope="module")
def labels() -> CpuLabels:
    path = find(Library.CPU)
    if path is None:
        pytest.skip("libhyperseg_cpu.so is not built")
    return CpuLabels(path)


@pytest.mark.numerics
@pytest.mark.parametrize("vector", _VECTORS)
def test_vector(vector: str, labels: CpuLabels) -> None:
    for case in _VECTORS[vector]:
        logits = case.inputs()["X"]
        assert logits is not None
        placement = Placement(case.size, None if case.window is None else Window(*case.window))
        with labelled(case.dtype):
            assert_matches(case, np.stack([labels.at(image, placement, threads=1) for image in logits]))


@pytest.mark.numerics
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("size", [(1080, 1920), (361, 5000), (5000, 361), (3, 700000)])
def test_bands_change_nothing(size: tuple[int, int], dtype: str, labels: CpuLabels) -> None:
    """Large enough that a request for threads is granted; more than the rows, too."""
    coarse = np.random.default_rng(0).standard_normal((7, 20, 31))
    logits = coarse.repeat(5, axis=1).repeat(5, axis=2).astype(dtype)
    one = labels.at(logits, Placement(size), threads=1)
    assert len(np.unique(one)) == 7
    for threads in (2, 3, 16):
        np.testing.assert_array_equal(labels.at(logits, Placement(size), threads), one)


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / Library.CPU.value
    path.write_bytes(b"no library")
    with pytest.raises(Exception, match=r"does not load: .*; build it again"):
        CpuLabels(path)

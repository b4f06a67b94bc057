"""The device's C interface for labels of any size, on the kernels compiled for the CPU; and which kernel computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu.kernels import Kernels
from hyperseg_runtime.native_labels import CudaLabels, Request
from hyperseg_runtime.upsampling import Placement, Window
from vectors import TARGET_CASES, assert_matches, check_each, on_cuda
from vectors.cases import UpsampleArgmaxCase

_BYTES = [case for case in TARGET_CASES if case.label_dtype == "uint8" and case.batch == 1]


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_vectors(shift: int, kernel_library: Path) -> None:
    """Logits and labels at any address, since those of several images may follow one another."""
    library = CudaLabels(kernel_library)

    def check(case: UpsampleArgmaxCase) -> None:
        logits = case.inputs()["X"]
        assert logits is not None
        logits = _moved(logits, shift)
        memory = np.full(int(np.prod(case.size)) + shift + 3, 0xEE, np.uint8)
        _, *shape = logits.shape
        channels, height, width = shape
        placement = Placement(case.size, None if case.window is None else Window(*case.window))
        request = Request.of(
            logits.ctypes.data, memory.ctypes.data + shift, (channels, height, width), logits.dtype, placement
        )
        assert library.launch(request, stream=0) is None
        assert (memory[:shift] == 0xEE).all() and (memory[-3:] == 0xEE).all()
        assert_matches(case, memory[shift:-3].reshape(1, *case.size), on_cuda(case))

    check_each(_BYTES, check)


def _moved(values: Any, count: int) -> Any:
    """The same at an address that is `count` values behind an aligned one."""
    memory = np.empty(values.size + count, values.dtype)
    memory[count:] = values.ravel()
    return memory[count:].reshape(values.shape)


def test_a_refused_request_gives_its_reason(kernel_library: Path) -> None:
    library = CudaLabels(kernel_library)
    logits = np.zeros((257, 2, 2), np.float32)
    request = Request.of(logits.ctypes.data, logits.ctypes.data, (257, 2, 2), logits.dtype, Placement((1, 1)))
    assert library.launch(request, stream=0) == ("UpsampleArgmax: X has 257 channels; labels of uint8 tell 256 apart")
    outside = Placement((1, 1), Window(2.0, 0.0, 1.0, 1.0))
    request = Request.of(logits.ctypes.data, logits.ctypes.data, (2, 2, 2), logits.dtype, outside)
    reason = library.launch(request, stream=0)
    assert reason is not None and reason.startswith("UpsampleArgmax: rows: the window from 2.0")


@pytest.mark.parametrize(("name", "direct"), [("enlarged", False), ("shrunk", False), ("shrunk-much", True)])
def test_source_pixels_are_shared_where_they_fit(name: str, direct: bool, kernels: Kernels) -> None:
    for case in TARGET_CASES:
        if f"-target-{name}-uint8" in case.name or f"-target-{name}-int32" in case.name:
            kernels.run(case)
            assert ("upsample_argmax_direct" in kernels.last_launch().symbol) == direct


def test_steps_of_hundreds_of_thousands_of_pixels(kernel_library: Path) -> None:
    """Two columns of so wide a map: what 64 such steps span is beyond 64 bits, and was taken for 65 columns."""
    library = CudaLabels(kernel_library)
    logits = np.zeros((2, 1, 532612), np.float32)
    logits[1, 0, 266306:] = 1.0
    labels = np.full((1, 2), 0xEE, np.uint8)
    request = Request.of(logits.ctypes.data, labels.ctypes.data, (2, 1, 532612), logits.dtype, Placement((1, 2)))
    assert library.launch(request, stream=0) is None
    assert labels.tolist() == [[0, 1]]

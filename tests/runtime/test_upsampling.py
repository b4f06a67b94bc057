"""Labels, probabilities and confidence at a frame's size, against PyTorch's interpolation and our reference."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hyperseg_runtime import upsampling
from hyperseg_runtime.errors import InputError, LibraryMissingError
from hyperseg_runtime.libraries import ENVIRONMENT_VARIABLE, ISA_VARIABLE, Library, find
from hyperseg_runtime.upsampling import Placement, Window, confidence_at, labels_at, probabilities_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from vectors import reference

_SECONDS = 120


@pytest.fixture(params=["library", "NumPy"])
def computed_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What computes labels; both have to pass the same tests."""
    if request.param == "NumPy":
        monkeypatch.setattr(upsampling, "find", lambda _: None)
    elif find(Library.CPU) is None:
        pytest.skip("libhyperseg_cpu.so is not built")
    return str(request.param)


def drawn(shape: tuple[int, ...], seed: int = 0, dtype: str = "float32") -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_largest(labels: NDArray[np.uint8], logits: NDArray[np.float64]) -> None:
    """Every label is of the largest channel of the enlarged logits, or of one that rounding cannot tell from it."""
    assert labels.dtype == np.uint8 and labels.shape == logits.shape[1:]
    chosen = np.take_along_axis(logits, labels[None].astype(int), axis=0)[0]
    assert (logits.max(axis=0) - chosen <= 1e-5).all()
    assert (labels != logits.argmax(axis=0)).mean() < 1e-3 or labels.size < 10_000


extents = st.integers(1, 90)


@pytest.mark.numerics
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(channels=st.integers(1, 30), h=extents, w=extents, H=extents, W=extents, half=st.booleans(), seed=st.integers(0))
def test_as_pytorch(computed_by: str, channels: int, h: int, w: int, H: int, W: int, half: bool, seed: int) -> None:
    torch = pytest.importorskip("torch")
    logits = drawn((channels, h, w), seed % 1000, "float16" if half else "float32")
    double = torch.from_numpy(logits.astype(np.float64))[None]
    full = torch.nn.functional.interpolate(double, size=(H, W), mode="bilinear", align_corners=False)[0]
    placement = Placement((H, W))
    assert_largest(labels_at(logits, placement), full.numpy())
    probabilities = full.softmax(0).numpy()
    np.testing.assert_allclose(probabilities_at(logits, placement), probabilities, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(confidence_at(logits, placement), probabilities.max(axis=0), rtol=2e-3)


parts = st.floats(-0.3, 1.2, allow_subnormal=False), st.floats(0.01, 1.3)  # a library may flush them in its process


@pytest.mark.numerics
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(h=extents, w=extents, H=extents, W=extents, down=st.tuples(*parts), along=st.tuples(*parts))
def test_windows(
    computed_by: str, h: int, w: int, H: int, W: int, down: tuple[float, float], along: tuple[float, float]
) -> None:
    top, left, height, width = down[0] * h, along[0] * w, down[1] * h, along[1] * w
    logits = drawn((6, h, w), h * w)
    window = Window(top, left, height, width)
    if top >= h or left >= w or top + height <= 0 or left + width <= 0:
        with pytest.raises(InputError, match="give the part of the logits that shows the frame"):
            labels_at(logits, Placement((H, W), window))
        return
    full = reference.enlarge(logits[None].astype(np.float64), (H, W), (top, left, height, width))[0]
    assert_largest(labels_at(logits, Placement((H, W), window)), full)


def test_a_window_of_whole_pixels_is_a_part_of_the_logits(computed_by: str) -> None:
    logits = drawn((5, 20, 30))
    part = labels_at(logits[:, 3:13, 5:29], Placement((41, 70)))
    np.testing.assert_array_equal(labels_at(logits, Placement((41, 70), Window(3, 5, 10, 24))), part)


def test_logits_in_any_order_of_memory(computed_by: str) -> None:
    logits = drawn((5, 20, 30))
    expected = labels_at(logits, Placement((41, 70)))
    channels_last = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    for other in (channels_last, np.asfortranarray(logits), drawn((5, 20, 30))[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(labels_at(other, Placement((41, 70))), expected)


def test_ties_go_to_the_lowest_class(computed_by: str) -> None:
    logits = drawn((4, 9, 9))
    assert labels_at(np.concatenate([logits, logits]), Placement((50, 31))).max() <= 3
    assert not labels_at(np.zeros((256, 3, 3), np.float16), Placement((50, 31))).any()


@pytest.mark.parametrize("function", [labels_at, probabilities_at, confidence_at])
@pytest.mark.parametrize(
    ("logits", "placement", "message"),
    [
        (np.zeros((3, 4, 5)), Placement((8, 8)), r"float32 or float16 \[C, h, w\] .*, not float64 \[3, 4, 5\]"),
        (np.zeros((1, 3, 4, 5), np.float32), Placement((8, 8)), r"not float32 \[1, 3, 4, 5\]"),
        (np.zeros((0, 4, 5), np.float32), Placement((8, 8)), r"not float32 \[0, 4, 5\]"),
        ([[[1.0]]], Placement((8, 8)), "not list"),
        (np.zeros((257, 4, 5), np.float32), Placement((8, 8)), "257 classes; labels are uint8, so at most 256"),
        (np.zeros((3, 4, 5), np.float32), Placement((0, 8)), "a result of 0 x 8 pixels is empty"),
        (np.zeros((3, 4, 5), np.float32), Placement((1 << 22, 8)), "4194304 rows from logits with 4 are not computed"),
        (np.zeros((3, 4, 5), np.float32), Placement((8, 8), Window(4, 0, 1, 5)), "window's rows, 4 to 5, are none"),
        (np.zeros((3, 4, 5), np.float32), Placement((8, 8), Window(0, 0, 4, 0)), "window's columns, 0 to 0, are none"),
        (np.zeros((3, 4, 5), np.float32), Placement((8, 8), Window(0, np.nan, 4, 5)), "columns, nan to nan"),
    ],
)
def test_what_cannot_be_computed(function: Any, logits: Any, placement: Placement, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        function(logits, placement)
    assert "\n" not in str(raised.value)


def test_threads_are_at_least_one() -> None:
    with pytest.raises(InputError, match="threads is 0; it has to be at least 1"):
        labels_at(drawn((2, 3, 3)), Placement((5, 5)), threads=0)


def test_logits_that_are_no_numbers_spoil_only_their_own_pixels(computed_by: str) -> None:
    logits = drawn((5, 40, 40))
    expected = labels_at(logits, Placement((100, 100)))
    for wrong in (np.nan, np.inf, -np.inf):
        spoilt = logits.copy()
        spoilt[2, 20, 20] = spoilt[3, 20, 21] = wrong
        labels = labels_at(spoilt, Placement((100, 100)))
        assert labels.max() < 5
        around = np.zeros((100, 100), bool)
        around[47:56, 47:58] = True  # between the pixels beside the two
        np.testing.assert_array_equal(labels[~around], expected[~around])


def test_several_threads_at_once(computed_by: str) -> None:
    images = [drawn((11, 60, 80), seed) for seed in range(12)]
    placement = Placement((700, 1301))
    expected = [labels_at(logits, placement, threads=1) for logits in images]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda logits: labels_at(logits, placement, threads=3), images, timeout=_SECONDS))
    for labels, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(labels, wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork(computed_by: str) -> None:
    """A child has none of its parent's threads."""
    logits, placement = drawn((11, 60, 80)), Placement((1080, 1920))
    expected = labels_at(logits, placement, threads=4)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(labels_at(logits, placement, threads=4)))
    child.start()
    try:
        assert receiver.poll(_SECONDS), "the child gives no labels"
        np.testing.assert_array_equal(receiver.recv(), expected)
    finally:
        child.kill()
        child.join(_SECONDS)


@pytest.mark.parametrize("function", [labels_at, probabilities_at, confidence_at])
def test_full_size_logits_are_never_in_memory(function: Any, computed_by: str) -> None:
    logits, (height, width) = drawn((19, 68, 120)), (1080, 1920)
    tracemalloc.start()
    try:
        result = function(logits, Placement((height, width)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    full_logits = 19 * height * width * 4
    assert peak - result.nbytes < full_logits / 4


def run_python(code: str, **environment: str) -> str:
    """The code's output in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


_CAUGHT = """
import numpy as np
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.upsampling import Placement, labels_at
try:
    labels_at(np.zeros((2, 3, 3), np.float32), Placement((5, 5)))
except HyperSegError as error:
    print(type(error).__name__, error)
"""


def test_an_unknown_instruction_set_is_told() -> None:
    if find(Library.CPU) is None:
        pytest.skip("libhyperseg_cpu.so is not built")
    assert run_python(_CAUGHT, **{ISA_VARIABLE: "best"}).startswith("InputError HYPERSEG_MAX_CPU_ISA is best; expected")


def test_a_library_that_does_not_load_is_never_replaced_in_silence(tmp_path: Path) -> None:
    (tmp_path / Library.CPU.value).write_bytes(b"no library")
    said = run_python(_CAUGHT, **{ENVIRONMENT_VARIABLE: str(tmp_path)})
    assert said.startswith(LibraryMissingError.__name__) and "does not load" in said and "build it again" in said

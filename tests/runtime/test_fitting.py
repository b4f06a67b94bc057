"""How frames fit the network's input: stretched, letterboxed, cut into tiles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.fitting import Fit, area_of, window_of
from hyperseg_runtime.metadata import InputSpec, InputType
from hyperseg_runtime.preprocess import prepare
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.tiling import Axis, Tiling
from hyperseg_runtime.upsampling import Placement, labels_at
from hypothesis import given
from hypothesis import strategies as st

from .stand_in import MEAN, SIZE, STD, expected_logits, write_model

SIDES = st.integers(1, 5000)


@given(SIDES, SIDES)
def test_a_letterboxed_frame_keeps_its_aspect_in_the_middle(height: int, width: int) -> None:
    network = (576, 768)
    area = area_of((height, width), network, letterbox=True)
    assert area.height == network[0] or area.width == network[1]
    assert 4 <= area.height <= network[0]
    assert 4 <= area.width <= network[1]
    for begin, length, whole in zip((area.top, area.left), area.size, network, strict=True):
        assert 0 <= whole - length - 2 * begin <= 1
    # Both sides are scaled by the same factor, to a pixel, or have the least length.
    scale = min(network[0] / height, network[1] / width)
    for length, side in zip(area.size, (height, width), strict=True):
        assert abs(length - side * scale) <= 0.5 or length == 4


def test_the_window_is_the_area_of_the_logits() -> None:
    area = area_of((1080, 1920), (576, 768), letterbox=True)
    assert (area.top, area.left, *area.size) == (72, 0, 432, 768)
    window = window_of(area, (576, 768), (144, 192))
    assert window is not None
    assert (window.top, window.left, window.height, window.width) == (18, 0, 108, 192)
    assert window_of(area_of((1080, 1920), (576, 768), letterbox=False), (576, 768), (144, 192)) is None


@pytest.mark.parametrize("dtype", InputType)
def test_around_a_letterboxed_frame_is_the_mean_colour(dtype: InputType) -> None:
    """Which is zero once it is normalised, up to the rounding of a pixel to an integer."""
    spec = InputSpec(*SIZE, MEAN, STD, dtype)
    frame = np.full((10, 40, 3), 255, np.uint8)
    area = area_of((10, 40), SIZE, letterbox=True)
    image = prepare(frame, spec, SIZE, area)[0]
    normal = (image / 255.0 - MEAN) / STD if dtype is InputType.UINT8 else image.transpose(1, 2, 0)
    inside = np.zeros(SIZE, bool)
    inside[area.top : area.top + area.height, area.left : area.left + area.width] = True
    assert np.abs(normal[~inside]).max() <= 0.5 / 255 / min(STD) + 1e-6
    assert normal[inside].min() > 1


@pytest.mark.parametrize("size", [(10, 4000), (4000, 10), (1, 1), (1, 500), (64, 95), (1080, 1920)])
@pytest.mark.parametrize("fit", Fit)
def test_frames_of_any_shape(tmp_path: Path, fit: Fit, size: tuple[int, int]) -> None:
    with Segmenter(write_model(tmp_path / "m.onnx", stride=4), fit=fit) as segment:
        labels = segment(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
        assert labels.shape == size


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_letterboxed_labels_lie_where_the_frame_has_them(tmp_path: Path, size: tuple[int, int]) -> None:
    """Four flat quarters: their borders are in the middle of the frame, to a logit, and no bar is seen."""
    frame = np.zeros((*size, 3), np.uint8)
    middle = size[0] // 2, size[1] // 2
    frame[: middle[0], middle[1] :], frame[middle[0] :, : middle[1]], frame[middle[0] :, middle[1] :] = 80, 160, 255
    with Segmenter(write_model(tmp_path / "m.onnx", stride=2), fit=Fit.LETTERBOX) as segment:
        labels = segment(frame)
        flat = [segment(np.full((*size, 3), level, np.uint8)) for level in (0, 80, 160, 255)]
        reach = round(2 * max(size[0] / SIZE[0], size[1] / SIZE[1])) + 1
    for one in flat:
        assert len(np.unique(one)) == 1
    rows, columns = np.mgrid[: size[0], : size[1]]
    expected = np.select(
        [(rows < middle[0]) & (columns < middle[1]), rows < middle[0], columns < middle[1]],
        [flat[0][0, 0], flat[1][0, 0], flat[2][0, 0]],
        flat[3][0, 0],
    )
    away = (np.abs(rows + 0.5 - middle[0]) > reach) & (np.abs(columns + 0.5 - middle[1]) > reach)
    assert (labels[away] == expected[away]).all()


@given(st.integers(1, 700), st.integers(2, 40), st.sampled_from([1, 2, 4]))
def test_windows_cover_the_frame_and_their_weights_sum_to_1(frame: int, length: int, stride: int) -> None:
    axis = Axis.of(frame, length * stride, stride)
    assert axis.starts[0] == 0
    assert list(axis.starts) == sorted(set(axis.starts))
    assert axis.starts[-1] + length >= axis.extent > axis.starts[-1]
    for earlier, later in zip(axis.starts, axis.starts[1:], strict=False):
        assert earlier + length - later >= max(1, length // 4)
    total = np.zeros(max(axis.extent, length))
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        assert (weights > 0).all()
        total[start : start + length] += weights
    # Few windows overlap; the sum of their rounded weights is 1 to some roundings of float32.
    assert np.abs(total - 1).max() < 16 * 2.0**-24


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([(8, 12), (5, 3), (2, 2)]), st.integers(0, 3))
def test_bands_are_the_whole_frame(height: int, width: int, low: tuple[int, int], seed: int) -> None:
    """Windows of one map of logits blend to that map, and the labels of all bands are those of the map at once."""
    stride = 2
    tiling = Tiling((height, width), (low[0] * stride, low[1] * stride), low)
    shape = [max(axis.extent, axis.length) for axis in (tiling.down, tiling.across)]
    whole = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    windows = [
        whole[:, top // stride : top // stride + low[0], left // stride : left // stride + low[1]]
        for top, left in tiling.corners()
    ]
    labels = np.full((height, width), 255, np.uint8)
    rows = []
    for band in tiling.blended(iter(windows)):
        rows += range(band.rows.start, band.rows.stop)
        labels[band.rows] = labels_at(band.logits, band.placement)[band.margin]
    assert rows == list(range(height))
    padded = labels_at(whole, Placement((shape[0] * stride, shape[1] * stride)))[:height, :width]
    inner = (slice(0, max(0, height - stride)), slice(0, max(0, width - stride)))  # beyond, the frame's end is repeated
    assert np.count_nonzero(labels[inner] != padded[inner]) <= 2  # ties within the rounding of the weights


@pytest.mark.parametrize("size", [(64, 97), (65, 96), (200, 300), (20, 500), (131, 133)])
@pytest.mark.parametrize("batch", [{}, {"dynamic": True}, {"fixed_batch": 3}], ids=["one", "dynamic", "three"])
def test_tiles_are_at_the_networks_own_scale(tmp_path: Path, size: tuple[int, int], batch: dict[str, int]) -> None:
    """The stand-in network sees each pixel alone, so tiles have to give what the pixels do: no seam, nothing moved."""
    frame = np.asarray(
        cv2.resize(np.random.default_rng(3).integers(0, 256, (9, 12, 3), dtype=np.uint8), size[::-1], interpolation=2),
        np.uint8,
    )
    with Segmenter(write_model(tmp_path / "m.onnx", **batch), fit=Fit.TILE) as segment:  # type: ignore[arg-type]
        labels, probabilities = segment(frame), segment.probabilities(frame)
    logits = expected_logits(frame[..., ::-1])
    assert (
        np.count_nonzero(labels != logits.argmax(axis=-1)) <= labels.size // 10_000
    )  # where two are equal to rounding
    expected = np.exp(logits - logits.max(axis=-1, keepdims=True))
    expected /= expected.sum(axis=-1, keepdims=True)
    # float16 rounds to 2**-12 of a probability below 1; the float32 logits before it are a thousand times as precise.
    assert np.abs(probabilities.transpose(1, 2, 0).astype(float) - expected).max() < 2 * 2.0**-12


def test_big_frames_are_tiled_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is the logits of one row of windows; all of the frame's would be thirty times as many."""
    import tracemalloc

    frame = np.broadcast_to(np.uint8(90), (3000, 600, 3))  # no memory of its own
    with Segmenter(write_model(tmp_path / "m.onnx", stride=2), fit=Fit.TILE) as segment:
        segment(frame[:200])
        tracemalloc.start()
        labels = segment(frame)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    row, everything = 12 * (SIZE[0] // 2 + 2) * 300 * 4, 12 * 1500 * 300 * 4
    assert everything > 30 * row
    assert labels.nbytes <= peak < labels.nbytes + 8 * row

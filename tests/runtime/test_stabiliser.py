"""The Stabiliser: averages over time along the motion, never across cuts, and --stabilise."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import click
import cv2
import numpy as np
import pytest
from hyperseg_runtime import Segmenter, stabiliser
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.cli.run import run as run_command
from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.motion import Motion, MotionEstimator, small
from hyperseg_runtime.stabiliser import Stabiliser, check_can_stabilise
from hyperseg_runtime.video.sources import SourceFrame

from .conftest import Finished
from .stand_in import write_model

SIZE = (144, 192)
"""Of the small grid itself, so that averages on it are exact."""
RATE = Fraction(1, 15)
Run = Callable[..., Finished]


def texture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """uint8 BGR with detail of a few pixels, which optical flow can follow."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 6, size[1] // 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def at(image: np.ndarray, time: Fraction) -> SourceFrame:
    return SourceFrame(image, 0, time, "frame")


def random_logits(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, *size)).astype(np.float32)


def test_noise_falls_as_an_exponential_average_has_it() -> None:
    steady, image = Stabiliser(0.5), texture(0)
    for index in range(40):
        result = steady(random_logits(index), at(image, index * RATE))
    weight = math.exp(-float(RATE) / 0.5)
    # The variance of an exponential average of independent values; 3 * 144 * 192 of them know it to 0.5 %.
    assert np.var(result) == pytest.approx((1 - weight) / (1 + weight), rel=0.03)


@pytest.mark.parametrize("apart", [Fraction(1, 60), Fraction(1, 15), Fraction(1, 3)])
def test_frames_count_by_their_time_stamps(apart: Fraction) -> None:
    steady, image = Stabiliser(0.5), texture(0)
    kept = math.exp(-float(apart) / 0.5)
    for index, value in enumerate((0, 1, 3)):
        result = steady(np.full((2, *SIZE), value, np.float32), at(image, index * apart))
    assert np.allclose(result, (1 * kept + 3) / (kept**2 + kept + 1), atol=1e-6)


@pytest.mark.parametrize("size", [SIZE, (288, 384), (97, 131)])
def test_logits_that_do_not_change_stay_exactly(size: tuple[int, int]) -> None:
    steady, image, logits = Stabiliser(), texture(0), random_logits(0, size)
    for index in range(5):
        assert np.array_equal(steady(logits.copy(), at(image, index * RATE)), logits)


@pytest.mark.parametrize(
    ("image", "size", "time"),
    [
        (texture(1), SIZE, RATE),
        (texture(0), (72, 96), RATE),
        (texture(0, (288, 384)), SIZE, RATE),
        (texture(0), SIZE, Fraction(3)),
        (texture(0), SIZE, Fraction(-1)),
    ],
    ids=["a cut", "another size of logits", "another size of frames", "three time constants later", "a step back"],
)
def test_nothing_is_averaged_across(image: np.ndarray, size: tuple[int, int], time: Fraction) -> None:
    steady = Stabiliser()
    steady(random_logits(0), at(texture(0), Fraction(0)))
    logits = random_logits(1, size)
    assert np.array_equal(steady(logits.copy(), at(image, time)), logits)


def test_a_reset_begins_a_clip() -> None:
    steady, logits = Stabiliser(), random_logits(1)
    steady(random_logits(0), at(texture(0), Fraction(0)))
    steady.reset()
    assert np.array_equal(steady(logits.copy(), at(texture(0), RATE)), logits)


def test_time_stamps_that_stand_still_do_not_stop_the_labels() -> None:
    steady, image = Stabiliser(), texture(0)
    steady(np.zeros((1, *SIZE), np.float32), at(image, Fraction(0)))
    for _ in range(100):
        result = steady(np.ones((1, *SIZE), np.float32), at(image, Fraction(0)))
    assert result.min() > 0.9


def moving(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame of a pan by three pixels, and its logits: two classes that meet at an edge in the picture."""
    wide = texture(0, (SIZE[0], 2 * SIZE[1]))
    edge = 150 - 3 * index
    logits = np.full((2, *SIZE), -2, np.float32)
    logits[0, :, :edge] = logits[1, :, edge:] = 2
    return np.ascontiguousarray(wide[:, 3 * index : 3 * index + SIZE[1]]), logits


def lag(steady: Stabiliser) -> float:
    """Pixels by which the edge in the labels is behind the picture's, the mean over rows away from the border."""
    for index in range(20):
        image, logits = moving(index)
        truth = logits.argmax(0)
        labels = steady(logits, at(image, index * RATE)).argmax(0)
    return float((labels != truth)[16:-16].sum(1).mean())


def test_a_moving_edge_does_not_lag() -> None:
    assert lag(Stabiliser()) < 0.5


def test_without_motion_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    class Still(MotionEstimator):
        """Finds that nothing moves and all agrees."""

        def __call__(self, now: np.ndarray, before: np.ndarray) -> Motion:
            assert before.shape == now.shape
            motion = super().__call__(now, now)
            assert motion.agreement.min() == 1
            return motion

    monkeypatch.setattr(stabiliser, "MotionEstimator", Still)
    assert lag(Stabiliser()) > 3


def test_what_appears_has_its_labels_at_once() -> None:
    steady, image = Stabiliser(), texture(0) // 2
    before = np.zeros((2, *SIZE), np.float32)
    before[0] = 3
    for index in range(10):
        steady(before.copy(), at(image, index * RATE))
    seen, logits = image.copy(), before.copy()
    seen[40:100, 60:120] = 255
    logits[:, 40:100, 60:120] = np.array([0, 1], np.float32)[:, None, None]
    labels = steady(logits, at(seen, 10 * RATE)).argmax(0)
    truth = np.zeros(SIZE, int)
    truth[40:100, 60:120] = 1
    assert (labels != truth).mean() < 0.01


def test_logits_that_are_not_finite_do_not_stay() -> None:
    steady, image = Stabiliser(), texture(0)
    steady(random_logits(0), at(image, Fraction(0)))
    broken = random_logits(1)
    broken[1, 7, 7] = np.nan
    assert np.array_equal(steady(broken.copy(), at(image, RATE)), broken, equal_nan=True)
    following = random_logits(2)
    assert np.array_equal(steady(following.copy(), at(image, 2 * RATE)), following)


def test_half_precision() -> None:
    image, results = texture(0), []
    for dtype in (np.float32, np.float16):
        steady = Stabiliser()
        for index in range(3):
            rounded = random_logits(index).astype(np.float16).astype(dtype)
            result = steady(rounded, at(image, index * RATE))
        assert result.dtype == np.float32
        results.append(result)
    assert np.array_equal(*results)


def test_each_clip_has_its_own_past() -> None:
    one, other = Stabiliser(), Stabiliser()
    one(random_logits(0), at(texture(0), Fraction(0)))
    logits = random_logits(1)
    assert np.array_equal(other(logits.copy(), at(texture(0), RATE)), logits)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_time_constant_is_a_positive_number(seconds: float) -> None:
    with pytest.raises(InputError, match="more than 0"):
        Stabiliser(seconds)


@pytest.mark.parametrize("size", [(1, 1), (2, 4000), (4000, 2), (2160, 3840), (100, 100)])
def test_frames_of_any_size_have_a_small_image(size: tuple[int, int]) -> None:
    image = small(np.full((*size, 3), 90, np.uint8))
    assert max(image.shape[:2]) == 192 and min(image.shape[:2]) >= 16
    assert image.min() == image.max() == 90
    assert MotionEstimator()(image, image).agreement.min() == 1


@pytest.fixture
def with_logits(tmp_path: Path) -> Path:
    return write_model(tmp_path / "low.onnx", stride=4)


def noisy_clip(path: Path, frames: int = 10, seed: int = 0) -> Path:
    """A still picture in the noise of a camera."""
    picture, noise = texture(3, (96, 128)), np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "crf": "4"})
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for _ in range(frames):
            image = np.clip(picture + noise.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def changes(folder: Path) -> int:
    """Labels that change from one frame to the next."""
    frames = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())]
    assert len(frames) == 10
    return sum(int((now != before).any(-1).sum()) for now, before in zip(frames[1:], frames, strict=False))


def test_a_run_flickers_less(hyperseg_run: Run, with_logits: Path, tmp_path: Path) -> None:
    clip = noisy_clip(tmp_path / "noisy.mp4")
    options = ("--model", with_logits, "-o", "out.mp4", "--force")
    assert hyperseg_run(clip, *options, "--labels", "plain").code == 0
    assert hyperseg_run("--stabilise", clip, *options, "--labels", "steady").code == 0  # before an input: no value
    assert hyperseg_run("--stabilise", "0.001", clip, *options, "--labels", "short").code == 0
    assert 0 < changes(tmp_path / "steady") < 0.6 * changes(tmp_path / "plain")
    assert changes(tmp_path / "short") == changes(tmp_path / "plain")


def test_two_clips_of_a_run_share_no_past(hyperseg_run: Run, with_logits: Path, tmp_path: Path) -> None:
    clips = [noisy_clip(tmp_path / f"{seed}.mp4", 1, seed) for seed in range(2)]
    options = ("--stabilise", "--format", "png", "--style", "mask", "--model", with_logits)
    assert hyperseg_run(*clips, "-o", "both/", *options).code == 0
    assert hyperseg_run(clips[1], "-o", "alone", *options).code == 0
    (together,), (alone,) = ((tmp_path / folder).glob("1_*.png") for folder in ("both/1", "alone"))
    assert together.read_bytes() == alone.read_bytes()


def test_a_model_without_logits_is_refused(hyperseg_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Segmenter(write_model(tmp_path / "m.onnx", stride=4)) as segmenter:
        check_can_stabilise(segmenter)
        monkeypatch.setattr(type(segmenter.session), "gives_low_logits", False)
        with pytest.raises(ModelError, match=r"gives labels alone.*export it with hyperseg-export"):
            check_can_stabilise(segmenter)
        monkeypatch.setattr(Segmenter, "backend", BackendName.TENSORRT)
        with pytest.raises(ModelError, match=r"gives labels alone.*build the engine again"):
            check_can_stabilise(segmenter)
        monkeypatch.undo()
        monkeypatch.setattr(type(segmenter.session), "gives_low_logits", False)
        monkeypatch.chdir(tmp_path)
    clip = noisy_clip(tmp_path / "clip.mp4")
    hyperseg_run(clip, "--stabilise", "--model", "m.onnx").failed_with(
        "m.onnx", "labels alone", "export it with hyperseg-export"
    )
    assert not (tmp_path / "clip.segmented.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("image.png", "--stabilise"), "--stabilise is for videos"),
        (("clip.mp4", "--stabilise", "--fit", "tile"), "--stabilise and --fit tile exclude each other"),
        (("clip.mp4", "--stabilise", "0"), "0 is not a time constant"),
        (("clip.mp4", "--stabilise=fast"), "fast is not a time constant"),
        (("clip.mp4", "--stabilise", "nan"), "nan is not a time constant"),
    ],
)
def test_wrong_usage_is_one_line(hyperseg_run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    cv2.imwrite(str(tmp_path / "image.png"), texture(0))
    noisy_clip(tmp_path / "clip.mp4")
    done = hyperseg_run(*arguments)
    assert done.code == 2 and message in done.err and len(done.err.splitlines()) == 1


def test_results_of_both_kinds_are_not_mixed(hyperseg_run: Run, with_logits: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    noisy_clip(tmp_path / "in" / "a.mp4")
    assert hyperseg_run("in", "--model", with_logits).code == 0
    again = hyperseg_run("in", "--model", with_logits, "--stabilise", "--resume")
    again.failed_with("results of other options", "stabilise: not given there, 0.5 now")


def test_the_help_names_the_default() -> None:
    (option,) = (one for one in run_command.params if one.name == "stabilise")
    assert isinstance(option, click.Option) and f"{stabiliser.DEFAULT_SECONDS:g} if" in (option.help or "")

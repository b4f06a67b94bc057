"""One model for several sources: everyone has a turn, and batches are made where they pay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hyperseg_runtime.backends.protocol import BatchRange, Images, Outputs
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.inference import FrameInference, PreparedFrame
from hyperseg_runtime.live.batching import SharedSegmenter
from hyperseg_runtime.metadata import InputSpec
from hyperseg_runtime.network import Network
from hyperseg_runtime.preprocess import Frame, Labels
from hyperseg_runtime.upsampling import LowLogits, Placement

LIMIT_SECONDS = 30


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Model:
    """A Segmenter and its session: notes the images of each run, and waits where a test says so. Labels are images'
    first pixels."""

    gives_low_logits = True

    def __init__(self, batch_range: BatchRange, on_gpu: bool = True) -> None:
        self.batch_range = batch_range
        self.runs: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.before_run: Callable[[], None] = lambda: None
        self.error: Exception | None = None
        self._inference = FrameInference(
            Network(self, InputSpec(4, 4, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), (4, 4), on_gpu), letterbox=False
        )

    def prepared(self, frame: Frame) -> PreparedFrame:
        return self._inference.prepare(frame)

    def run(self, images: Images) -> Outputs:
        self.runs.append([int(image[0, 0, 0]) for image in images])
        assert self.gate.wait(LIMIT_SECONDS)
        self.before_run()
        if self.error is not None:
            raise self.error
        return Outputs(np.asarray(images[..., 0], np.uint8), None)

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]:
        labels = self.run(images).labels
        assert labels is not None
        return [np.full(place.size, own[0, 0]) for own, place in zip(labels, placements, strict=True)]

    def run_low(self, images: Images) -> LowLogits:
        self.run(images)
        return np.zeros((len(images), 3, 2, 2), np.float32)


def image(value: int, size: int = 4) -> Frame:
    return np.full((size, size, 3), value, np.uint8)


def labels(shared: SharedSegmenter, frame: Frame) -> Labels:
    found = shared.prepared(frame).labels_or_logits()
    assert isinstance(found, np.ndarray)
    return found


def ask_together(model: Model, values: list[int], sizes: dict[int, int] | None = None) -> list[int]:
    """One request from each of several threads, all of which wait while the model is busy with another one (99)."""
    with SharedSegmenter(model) as shared, ThreadPoolExecutor(len(values) + 1) as pool:  # type: ignore[arg-type]
        model.gate.clear()
        busy = pool.submit(labels, shared, image(99))
        until(lambda: len(model.runs) == 1)
        asked = []
        for count, value in enumerate(values, 1):
            asked.append(pool.submit(labels, shared, image(value, (sizes or {}).get(value, 4))))
            until(lambda count=count: len(shared._requests) == count)  # type: ignore[misc]
        model.gate.set()
        busy.result(LIMIT_SECONDS)
        return [int(one.result(LIMIT_SECONDS)[0, 0]) for one in asked]


@pytest.mark.parametrize(
    ("on_gpu", "taken", "runs"),
    [
        (False, (1, None), [[1], [2], [3]]),
        (True, (1, None), [[1, 2, 3]]),
        (True, (1, 2), [[1, 2], [3]]),
        (True, (1, 1), [[1], [2], [3]]),
    ],
)
def test_a_batch_is_what_waits(on_gpu: bool, taken: BatchRange, runs: list[list[int]]) -> None:
    model = Model(taken, on_gpu)
    assert ask_together(model, [1, 2, 3]) == [1, 2, 3], "each source has its own labels"
    assert model.runs == [[99], *runs]


def test_a_model_of_a_fixed_batch_is_filled_up() -> None:
    model = Model((4, 4))
    assert ask_together(model, [1, 2]) == [1, 2]
    assert model.runs == [[99] * 4, [1, 2, 2, 2]]


def test_frames_of_the_network_s_own_size_are_another_batch() -> None:
    """They get the file's own labels; the others, of any sizes, are enlarged from logits."""
    model = Model((1, None))
    assert ask_together(model, [1, 2, 3, 4, 5], sizes={3: 8, 4: 6}) == [1, 2, 3, 4, 5]
    assert model.runs == [[99], [1, 2], [3, 4], [5]]


def test_logits_are_asked_for_one_frame_at_a_time() -> None:
    model = Model((1, None))
    with SharedSegmenter(model) as shared:  # type: ignore[arg-type]
        assert shared.prepared(image(1)).logits().logits.shape == (3, 2, 2)
    assert model.runs == [[1]]


def test_a_fast_source_does_not_starve_a_slow_one() -> None:
    """Both always want a turn; the model is not free before both have asked."""
    model = Model((1, 1))
    rounds = 20
    with SharedSegmenter(model) as shared, ThreadPoolExecutor(2) as pool:  # type: ignore[arg-type]
        ended = threading.Event()
        model.before_run = lambda: until(lambda: bool(shared._requests) or ended.is_set())

        def source(value: int) -> None:
            for _ in range(rounds):
                labels(shared, image(value))
            ended.set()

        for done in [pool.submit(source, value) for value in (1, 2)]:
            done.result(LIMIT_SECONDS)
    order = [run[0] for run in model.runs]
    assert order in ([1, 2] * rounds, [2, 1] * rounds)


def test_an_error_is_the_asker_s_and_the_next_run_works() -> None:
    model = Model((1, None))
    with SharedSegmenter(model) as shared:  # type: ignore[arg-type]
        model.error = ModelError("out of memory")
        with pytest.raises(ModelError, match="out of memory"):
            labels(shared, image(1))
        model.error = None
        assert labels(shared, image(2))[0, 0] == 2


def test_nobody_waits_for_a_model_that_is_closed() -> None:
    model = Model((1, 1))
    with ThreadPoolExecutor(2) as pool:
        with SharedSegmenter(model) as shared:  # type: ignore[arg-type]
            model.gate.clear()
            waiting = [pool.submit(labels, shared, image(value)) for value in (1, 2)]
            until(lambda: len(model.runs) == 1 and len(shared._requests) == 1)
            threading.Timer(0.2, model.gate.set).start()
        results = [one.exception(LIMIT_SECONDS) for one in waiting]
    assert any(isinstance(result, ModelError) for result in results)
    with pytest.raises(ModelError, match="ended"):
        labels(shared, image(3))

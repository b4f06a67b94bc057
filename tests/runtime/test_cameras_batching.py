"""One model for several sources: everyone has a turn, and batches are made where they pay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hyperseg_runtime.backends.protocol import BackendName, BatchRange, Images, Outputs
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.live.batching import SharedSegmenter, batch_sizes

LIMIT_SECONDS = 30
CPU, CUDA, TENSORRT = BackendName.ONNXRUNTIME, BackendName.ONNXRUNTIME_CUDA, BackendName.TENSORRT


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Model:
    """A Segmenter and its session: notes the images of each run, and waits where a test says so. Labels are images'
    first pixels."""

    def __init__(self, backend: BackendName, batch_range: BatchRange) -> None:
        self.backend, self.batch_range = backend, batch_range
        self.runs: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.before_run: Callable[[], None] = lambda: None
        self.error: Exception | None = None

    @property
    def session(self) -> Model:
        return self

    def run(self, images: Images) -> Outputs:
        self.runs.append([int(image[0, 0, 0]) for image in images])
        assert self.gate.wait(LIMIT_SECONDS)
        self.before_run()
        if self.error is not None:
            raise self.error
        return Outputs(np.asarray(images[..., 0], np.uint8), None)

    def infer(self, images: Images) -> np.ndarray:
        labels = self.run(images).labels
        assert labels is not None
        return np.asarray(labels[0])


def image(value: int, size: int = 4) -> np.ndarray:
    return np.full((1, size, size, 3), value, np.uint8)


def ask_together(model: Model, values: list[int], sizes: dict[int, int] | None = None) -> list[int]:
    """One request from each of several threads, all of which wait while the model is busy with another one (99)."""
    with SharedSegmenter(model) as shared, ThreadPoolExecutor(len(values) + 1) as pool:  # type: ignore[arg-type]
        model.gate.clear()
        busy = pool.submit(shared.infer, image(99))
        until(lambda: len(model.runs) == 1)
        asked = []
        for count, value in enumerate(values, 1):
            asked.append(pool.submit(shared.infer, image(value, (sizes or {}).get(value, 4))))
            until(lambda count=count: len(shared._requests) == count)  # type: ignore[misc]
        model.gate.set()
        busy.result(LIMIT_SECONDS)
        return [int(one.result(LIMIT_SECONDS)[0, 0]) for one in asked]


@pytest.mark.parametrize(
    ("backend", "taken", "wanted"),
    [
        (CPU, (1, None), (1, 1)),
        (CUDA, (1, None), (1, 16)),
        (TENSORRT, (1, 4), (1, 4)),
        (CUDA, (1, 1), (1, 1)),
        (CPU, (4, 4), (4, 4)),
        (TENSORRT, (2, 8), (2, 8)),
    ],
)
def test_batches_where_they_pay(backend: BackendName, taken: BatchRange, wanted: BatchRange) -> None:
    assert batch_sizes(backend, taken) == wanted


@pytest.mark.parametrize(
    ("backend", "taken", "runs"),
    [
        (CPU, (1, None), [[1], [2], [3]]),
        (CUDA, (1, None), [[1, 2, 3]]),
        (TENSORRT, (1, 2), [[1, 2], [3]]),
    ],
)
def test_a_batch_is_what_waits(backend: BackendName, taken: BatchRange, runs: list[list[int]]) -> None:
    model = Model(backend, taken)
    assert ask_together(model, [1, 2, 3]) == [1, 2, 3], "each source has its own labels"
    assert model.runs == [[99], *runs]


def test_a_model_of_a_fixed_batch_is_filled_up() -> None:
    model = Model(TENSORRT, (4, 4))
    assert ask_together(model, [1, 2]) == [1, 2]
    assert model.runs == [[99] * 4, [1, 2, 2, 2]]


def test_images_of_other_sizes_are_another_batch() -> None:
    model = Model(CUDA, (1, None))
    assert ask_together(model, [1, 2, 3, 4], sizes={3: 8}) == [1, 2, 3, 4]
    assert model.runs == [[99], [1, 2], [3], [4]]


def test_a_fast_source_does_not_starve_a_slow_one() -> None:
    """Both always want a turn; the model is not free before both have asked."""
    model = Model(CPU, (1, 1))
    rounds = 20
    with SharedSegmenter(model) as shared, ThreadPoolExecutor(2) as pool:  # type: ignore[arg-type]
        ended = threading.Event()
        model.before_run = lambda: until(lambda: bool(shared._requests) or ended.is_set())

        def source(value: int) -> None:
            for _ in range(rounds):
                shared.infer(image(value))
            ended.set()

        for done in [pool.submit(source, value) for value in (1, 2)]:
            done.result(LIMIT_SECONDS)
    order = [run[0] for run in model.runs]
    assert order in ([1, 2] * rounds, [2, 1] * rounds)


def test_an_error_is_the_asker_s_and_the_next_run_works() -> None:
    model = Model(CUDA, (1, None))
    with SharedSegmenter(model) as shared:  # type: ignore[arg-type]
        model.error = ModelError("out of memory")
        with pytest.raises(ModelError, match="out of memory"):
            shared.infer(image(1))
        model.error = None
        assert shared.infer(image(2))[0, 0] == 2


def test_nobody_waits_for_a_model_that_is_closed() -> None:
    model = Model(CPU, (1, 1))
    with ThreadPoolExecutor(2) as pool:
        with SharedSegmenter(model) as shared:  # type: ignore[arg-type]
            model.gate.clear()
            waiting = [pool.submit(shared.infer, image(value)) for value in (1, 2)]
            until(lambda: len(model.runs) == 1 and len(shared._requests) == 1)
            threading.Timer(0.2, model.gate.set).start()
        results = [one.exception(LIMIT_SECONDS) for one in waiting]
    assert any(isinstance(result, ModelError) for result in results)
    with pytest.raises(ModelError, match="ended"):
        shared.infer(image(3))

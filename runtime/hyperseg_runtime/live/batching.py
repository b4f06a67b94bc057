"""One model for several sources: their frames run one after another, or as batches where that pays."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np

from hyperseg_runtime.backends.protocol import BackendName, BatchRange, Images
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.preprocess import Frame, Labels, batch_labels
from hyperseg_runtime.segmenter import Segmenter

_POLL_SECONDS = 0.1
_LARGEST_BATCH = 16
_BATCHING = frozenset({BackendName.TENSORRT, BackendName.ONNXRUNTIME_CUDA})
"""On a CPU a batch takes as long as its images one by one, so that it would only delay the first of them."""


def batch_sizes(backend: BackendName, taken: BatchRange) -> BatchRange:
    """The fewest and the most images to run at once, of a model that takes `taken`."""
    least, most = taken
    wanted = _LARGEST_BATCH if backend in _BATCHING else 1
    return least, max(least, wanted if most is None else min(most, wanted))


@dataclass
class _Request:
    """A prepared frame whose labels a source waits for."""

    images: Images
    labels: Labels | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class SharedSegmenter:
    """The stages of a Segmenter for several threads. A thread of its own runs what has been asked, in that order.

    A source asks for one frame at a time, so that each has its turn, whatever their rates. A batch is what waits when
    the device is free: no frame waits for another to come.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._least, most = batch_sizes(segmenter.backend, segmenter.session.batch_range)
        self._most = most or _LARGEST_BATCH
        self._requests: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hyperseg-inference", daemon=True)
        self._thread.start()

    def prepare(self, frame: Frame) -> Images:
        """uint8 [h, w, 3] BGR as the network's input. Raises InputError."""
        return self._segmenter.prepare(frame)

    def infer(self, images: Images) -> Labels:
        """The network's labels, uint8 [H, W], of one prepared frame; waits for its turn. Raises ModelError."""
        request = _Request(images)
        with self._changed:
            if not self._closed:
                self._requests.append(request)
                self._changed.notify_all()
        while not request.done.wait(_POLL_SECONDS):
            if self._closed:
                raise ModelError("the run has ended")
        if request.error is not None:
            raise request.error
        assert request.labels is not None
        return request.labels

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._requests and not self._closed:
                    self._changed.wait(_POLL_SECONDS)
                if self._closed:
                    return
                taken = self._take()
            try:
                labels = self._labels([request.images for request in taken])
                for request, own in zip(taken, labels, strict=True):
                    request.labels = own
            except BaseException as error:
                for request in taken:
                    request.error = error
            for request in taken:
                request.done.set()

    def _take(self) -> list[_Request]:
        """The longest-waiting requests that fit into one batch."""
        taken = [self._requests.popleft()]
        while self._requests and len(taken) < self._most and self._requests[0].images.shape == taken[0].images.shape:
            taken.append(self._requests.popleft())
        return taken

    def _labels(self, prepared: Sequence[Images]) -> Sequence[Labels]:
        """The labels of each image. A model that is fixed to more images gets the last one again, and again."""
        if len(prepared) == 1 and self._least == 1:
            return [self._segmenter.infer(prepared[0])]
        missing = max(0, self._least - len(prepared))
        images = np.concatenate([*prepared, *[prepared[-1]] * missing])
        return list(batch_labels(self._segmenter.session.run(images))[: len(prepared)])

    def __enter__(self) -> SharedSegmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the thread, after what it is running."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_POLL_SECONDS * 50)

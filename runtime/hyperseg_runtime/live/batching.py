"""One model for several sources: their frames run one after another, or as batches where that pays."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.inference import FrameLogits, PreparedFrame, WholeFrame
from hyperseg_runtime.preprocess import Frame, Labels, Size
from hyperseg_runtime.segmenter import Segmenter

_POLL_SECONDS = 0.1


@dataclass
class _Request:
    """A prepared frame whose result a source waits for."""

    frame: PreparedFrame
    wants_logits: bool
    result: Labels | FrameLogits | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        self.result = self.frame.logits() if self.wants_logits else self.frame.labels_or_logits()

    @property
    def most(self) -> int:
        """How many frames its run of the network may have. Logits are asked for by filters, one frame at a time; on a
        CPU a batch takes as long as its images one by one, so that it would only delay the first of them."""
        if self.wants_logits or not isinstance(self.frame, WholeFrame):
            return 1
        return self.frame.inference.images_of_a_run

    def joins(self, other: _Request) -> bool:
        return not other.wants_logits and isinstance(self.frame, WholeFrame) and self.frame.joins(other.frame)


@dataclass(frozen=True)
class SharedFrame:
    """A `StagedFrame` that waits for its turn."""

    shared: SharedSegmenter
    frame: PreparedFrame

    def labels_or_logits(self) -> Labels | FrameLogits:
        """Raises ModelError."""
        return self.shared.run(_Request(self.frame, wants_logits=False))

    def logits(self) -> FrameLogits:
        """Raises ModelError where the session gives none, InputError where there are none of the whole frame."""
        found = self.shared.run(_Request(self.frame, wants_logits=True))
        assert isinstance(found, FrameLogits)
        return found


class SharedSegmenter:
    """The stages of a Segmenter for several threads. A thread of its own runs what has been asked, in that order.

    A source asks for one frame at a time, so that each has its turn, whatever their rates. A batch is what waits when
    the device is free: no frame waits for another to come.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._requests: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hyperseg-inference", daemon=True)
        self._thread.start()

    def prepared(self, frame: Frame) -> SharedFrame:
        """The frame, uint8 [h, w, 3] BGR, ready for the network. Raises InputError."""
        return SharedFrame(self, self._segmenter.prepared(frame))

    def line_grid(self, frame: Size) -> Size | None:
        """See `Segmenter.line_grid`."""
        return self._segmenter.line_grid(frame)

    def run(self, request: _Request) -> Labels | FrameLogits:
        """The result of one frame; waits for its turn. Raises ModelError, and what the frame's own call raises."""
        with self._changed:
            if not self._closed:
                self._requests.append(request)
                self._changed.notify_all()
        while not request.done.wait(_POLL_SECONDS):
            if self._closed:
                raise ModelError("the run has ended")
        if request.error is not None:
            raise request.error
        assert request.result is not None
        return request.result

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._requests and not self._closed:
                    self._changed.wait(_POLL_SECONDS)
                if self._closed:
                    return
                taken = self._take()
            try:
                _compute(taken)
            except BaseException as error:
                for request in taken:
                    request.error = error
            for request in taken:
                request.done.set()

    def _take(self) -> list[_Request]:
        """The longest-waiting requests that fit into one batch."""
        taken = [self._requests.popleft()]
        while self._requests and len(taken) < taken[0].most and taken[0].joins(self._requests[0]):
            taken.append(self._requests.popleft())
        return taken

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


def _compute(requests: Sequence[_Request]) -> None:
    frames = [request.frame for request in requests if isinstance(request.frame, WholeFrame)]
    if len(requests) == 1 or len(frames) != len(requests):
        for request in requests:
            request.run()
        return
    for request, labels in zip(requests, frames[0].inference.run(frames), strict=True):
        request.result = labels

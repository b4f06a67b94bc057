"""The pipeline of a run: decoding, inference and output overlap in threads with bounded queues (`prefetch`).

`Job` runs a source through a model into sinks; `segmented` is its first half, from frames to labels.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.output.render import Renderer
from hyperseg_runtime.output.sinks import Result, Sink, SkippedFrameError, WindowClosedError
from hyperseg_runtime.preprocess import Frame, Labels, restore
from hyperseg_runtime.timing import Stage, StageClock, StageSummary
from hyperseg_runtime.video.sources import FrameSource, SourceFrame

Item = TypeVar("Item")
_DEPTH = 2
_POLL_SECONDS = 0.1


def prefetch(
    items: Iterator[Item],
    depth: int = _DEPTH,
    latest: bool = False,
    stop_asked: Callable[[], bool] = lambda: False,
    on_drop: Callable[[], None] = lambda: None,
) -> Generator[Item, None, None]:
    """Prefetches an iterator in a thread, with a bounded queue. Its exceptions are raised after the items before them.

    depth: length of the queue. latest: keep only the newest waiting item and drop the others (live sources).
    stop_asked: polled while no item comes; True ends the generator.
    on_drop: called for each item that is dropped, in the thread that reads `items`.
    Closing the generator stops the thread, waits for it, and closes `items`.
    """
    prefetcher = _Prefetcher(items, depth, latest, stop_asked, on_drop)
    try:
        yield from prefetcher
    finally:
        prefetcher.stop()


@dataclass(frozen=True)
class _End:
    """The last element of a queue: the iterator is exhausted, or raised `error`."""

    error: BaseException | None


class _Prefetcher(Generic[Item]):
    """The thread of `prefetch` and its queue."""

    def __init__(
        self,
        items: Iterator[Item],
        depth: int,
        latest: bool,
        stop_asked: Callable[[], bool],
        on_drop: Callable[[], None],
    ) -> None:
        self._items, self._latest, self._stop_asked, self._on_drop = items, latest, stop_asked, on_drop
        self._queue: queue.Queue[Item | _End] = queue.Queue(1 if latest else depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="hyperseg-prefetch", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._put(item, replace=self._latest)
                if self._stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
        self._put(_End(error), replace=False)

    def _put(self, item: Item | _End, replace: bool) -> None:
        """Waits for a free place, or (`replace`) drops the waiting item."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0 if replace else _POLL_SECONDS)
                return
            except queue.Full:
                if replace:
                    with contextlib.suppress(queue.Empty):
                        self._queue.get_nowait()
                        self._on_drop()

    def __iter__(self) -> Iterator[Item]:
        while True:
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._stop_asked():
                    return
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


class LivePolicy(str, Enum):
    """What to do when a live source is faster than the network."""

    LATEST = "latest"
    ALL = "all"


class FrameSegmenter(Protocol):
    """What a run needs of the `Segmenter`: its two stages, which two threads call."""

    def prepare(self, frame: Frame) -> Images: ...

    def infer(self, images: Images) -> Labels: ...


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame and the network's labels at the network's resolution."""

    source: SourceFrame
    network_labels: Labels


def segmented(
    source: FrameSource,
    segmenter: FrameSegmenter,
    clock: StageClock,
    policy: LivePolicy = LivePolicy.LATEST,
    stop_asked: Callable[[], bool] = lambda: False,
    on_drop: Callable[[], None] = lambda: None,
) -> Generator[SegmentedFrame, None, None]:
    """The source's frames with their labels. The caller's work on each overlaps with the next frames' stages.

    With a live source and LATEST, frames that arrive while the network is busy are dropped; otherwise none is.
    Errors of the source or the model are raised after the frames before them. Closing the generator stops the threads
    and the source.
    stop_asked: polled while no frame comes; True ends the frames. on_drop: called for each frame that is dropped.
    """
    latest = source.live and policy is LivePolicy.LATEST
    prepared = prefetch(_prepared(source, segmenter, clock), latest=latest, on_drop=on_drop)
    inferred = prefetch(_inferred(prepared, segmenter, clock), stop_asked=stop_asked)
    with contextlib.closing(inferred):
        try:
            for frame in inferred:  # noqa: UP028  # `yield from` would close `inferred` before the source stops
                yield frame
        finally:
            source.stop()  # closing waits for the threads, and the first one may wait for a pipe


def _prepared(
    source: FrameSource, segmenter: FrameSegmenter, clock: StageClock
) -> Iterator[tuple[SourceFrame, Images]]:
    for frame in clock.timed(Stage.DECODE, source.frames()):
        with clock.measure(Stage.PREPROCESS):
            images = segmenter.prepare(frame.image)
        yield frame, images


def _inferred(
    prepared: Generator[tuple[SourceFrame, Images], None, None], segmenter: FrameSegmenter, clock: StageClock
) -> Iterator[SegmentedFrame]:
    with contextlib.closing(prepared):
        for frame, images in prepared:
            with clock.measure(Stage.INFERENCE):
                labels = segmenter.infer(images)
            yield SegmentedFrame(frame, labels)


@dataclass(frozen=True)
class JobSummary:
    """The outcome of a run."""

    frames: int
    seconds: float
    """Wall time from the request for the first frame until the last output is closed."""
    stages: dict[Stage, StageSummary]
    interrupted: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What the outputs do not have although they are complete otherwise, such as sound."""

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Job:
    """A run of one source. `on_frame` is called with the number of frames done, `stop_asked` is polled, `on_drop` is
    called for each frame of a live source that is dropped."""

    source: FrameSource
    segmenter: FrameSegmenter
    renderer: Renderer
    sinks: Sequence[Sink]
    policy: LivePolicy = LivePolicy.LATEST
    clock: StageClock | None = None
    on_frame: Callable[[int], None] = lambda _: None
    stop_asked: Callable[[], bool] = lambda: False
    on_drop: Callable[[], None] = lambda: None

    def run(self) -> JobSummary:
        """Runs to the source's end. When the source or a sink fails, the output of the frames before is kept.

        Raises HyperSegError of a sink (whose own output is discarded), or of a source that gave no frame at all.
        """
        clock = self.clock or StageClock()
        start = time.perf_counter()
        failure, interrupted, done = None, False, 0
        skipped: list[str] = []
        try:
            with contextlib.closing(
                segmented(self.source, self.segmenter, clock, self.policy, self.stop_asked, self.on_drop)
            ) as frames:
                while True:
                    try:
                        frame = next(frames, None)
                    except HyperSegError as error:
                        failure = error
                        break
                    if frame is None:
                        interrupted = self.stop_asked()
                        break
                    try:
                        interrupted = not self._take(frame, clock)
                        done += 1
                    except SkippedFrameError as error:
                        skipped.append(str(error))
                    self.on_frame(done)
                    if interrupted or self.stop_asked():
                        interrupted = True
                        break
            self._close(interrupted or failure is not None)
        except _SinkFailedError as failed:
            self._keep_others(failed.sink)
            raise failed.error from failed
        except BaseException:
            for sink in self.sinks:
                sink.abort()
            raise
        if failure is not None and done == 0:
            raise failure
        problems = [*self.source.problems, *skipped, *([] if failure is None else [str(failure)])]
        notes = tuple(note for sink in self.sinks for note in sink.notes)
        return JobSummary(done, time.perf_counter() - start, clock.summary(), interrupted, tuple(problems), notes)

    def _take(self, frame: SegmentedFrame, clock: StageClock) -> bool:
        """Renders a frame and writes it to the sinks; False if the user closed the window."""
        with clock.measure(Stage.POSTPROCESS):
            labels = restore(frame.network_labels, frame.source.size)
            rendered = self.renderer(frame.source.image, labels, frame.network_labels)
            result = Result(frame.source, labels, rendered)
        with clock.measure(Stage.ENCODE):
            for sink in self.sinks:
                try:
                    sink.write(result)
                except WindowClosedError:
                    return False
                except OutputError as error:
                    raise _SinkFailedError(sink, error) from error
        return True

    def _close(self, interrupted: bool) -> None:
        for sink in self.sinks:
            try:
                sink.close(interrupted)
            except OutputError as error:
                raise _SinkFailedError(sink, error) from error

    def _keep_others(self, failed: Sink) -> None:
        """After one sink failed: aborts it and closes the others, whose output is complete up to here."""
        for sink in self.sinks:
            if sink is failed:
                sink.abort()
                continue
            try:
                sink.close(interrupted=True)
            except OutputError:
                sink.abort()


class _SinkFailedError(Exception):
    """An OutputError and the sink that raised it."""

    def __init__(self, sink: Sink, error: OutputError) -> None:
        super().__init__(str(error))
        self.sink, self.error = sink, error

"""The pipeline of a run: decoding, inference and output overlap in threads with bounded queues (`prefetch`).

`Job` runs a source through a model into sinks; `segmented` is its first half, from frames to labels.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.inference import FrameLogits
from hyperseg_runtime.output.render import Renderer
from hyperseg_runtime.output.sinks import Result, Sink, SkippedFrameError, WindowClosedError
from hyperseg_runtime.prefetching import prefetch
from hyperseg_runtime.preprocess import Frame, Labels, Size
from hyperseg_runtime.timing import Stage, StageClock, StageSummary
from hyperseg_runtime.upsampling import LowLogits
from hyperseg_runtime.video.sources import FrameSource, SourceFrame


class LivePolicy(str, Enum):
    """What to do when a live source is faster than the network."""

    LATEST = "latest"
    ALL = "all"


class LogitFilter(Protocol):
    """Changes the logits of a video's frames, such as by averaging over time.

    Called in the order of the frames, once for each that the network sees, in one thread.
    """

    def __call__(self, logits: LowLogits, frame: SourceFrame) -> LowLogits:
        """The logits of the whole frame at the network's output size, [C, h, w] -> others of the same shape.

        logits: the filter's own from now on, to keep or to change.
        """


class StagedFrame(Protocol):
    """A frame that is ready for the network; see `PreparedFrame`."""

    def labels_or_logits(self) -> Labels | FrameLogits: ...

    def logits(self) -> FrameLogits: ...


class FrameSegmenter(Protocol):
    """What a run needs of the `Segmenter`: its stages, which two threads call."""

    def prepared(self, frame: Frame) -> StagedFrame: ...

    def line_grid(self, frame: Size) -> Size | None: ...


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame, and its labels or the logits of them."""

    source: SourceFrame
    result: Labels | FrameLogits

    def labels(self) -> Labels:
        """uint8 [h, w] of the frame's size; computed here where they are not yet."""
        return self.result.labels() if isinstance(self.result, FrameLogits) else self.result


def segmented(
    source: FrameSource,
    segmenter: FrameSegmenter,
    clock: StageClock,
    policy: LivePolicy = LivePolicy.LATEST,
    stop_asked: Callable[[], bool] = lambda: False,
    logit_filter: LogitFilter | None = None,
    on_drop: Callable[[], None] = lambda: None,
) -> Generator[SegmentedFrame, None, None]:
    """The source's frames with their labels. The caller's work on each overlaps with the next frames' stages.

    On a GPU the labels of the frame's size are computed with the network, on the CPU in the caller's thread.

    With a live source and LATEST, frames that arrive while the network is busy are dropped; otherwise none is.
    Errors of the source or the model are raised after the frames before them. Closing the generator stops the threads
    and the source.
    stop_asked: polled while no frame comes; True ends the frames. on_drop: called for each frame that is dropped.
    """
    latest = source.live and policy is LivePolicy.LATEST
    prepared = prefetch(_prepared(source, segmenter, clock), latest=latest, on_drop=on_drop)
    inferred = prefetch(_inferred(prepared, clock, logit_filter), stop_asked=stop_asked)
    with contextlib.closing(inferred):
        try:
            for frame in inferred:  # noqa: UP028  # `yield from` would close `inferred` before the source stops
                yield frame
        finally:
            source.stop()  # closing waits for the threads, and the first one may wait for a pipe


def _prepared(
    source: FrameSource, segmenter: FrameSegmenter, clock: StageClock
) -> Iterator[tuple[SourceFrame, StagedFrame]]:
    for frame in clock.timed(Stage.DECODE, source.frames()):
        with clock.measure(Stage.PREPROCESS):
            prepared = segmenter.prepared(frame.image)
        yield frame, prepared


def _inferred(
    prepared: Generator[tuple[SourceFrame, StagedFrame], None, None],
    clock: StageClock,
    logit_filter: LogitFilter | None,
) -> Iterator[SegmentedFrame]:
    with contextlib.closing(prepared):
        for frame, ready in prepared:
            with clock.measure(Stage.INFERENCE):
                result = ready.labels_or_logits() if logit_filter is None else _filtered(ready, frame, logit_filter)
            yield SegmentedFrame(frame, result)


def _filtered(ready: StagedFrame, frame: SourceFrame, logit_filter: LogitFilter) -> FrameLogits:
    found = ready.logits()
    return found.with_logits(logit_filter(found.logits, frame))


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
    logit_filter: LogitFilter | None = None
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
                segmented(
                    self.source,
                    self.segmenter,
                    clock,
                    self.policy,
                    self.stop_asked,
                    self.logit_filter,
                    self.on_drop,
                )
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
            labels = frame.labels()
            rendered = self.renderer(frame.source.image, labels, self.segmenter.line_grid(frame.source.size))
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

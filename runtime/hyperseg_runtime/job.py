"""One run: a source, a model, sinks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hyperseg_runtime.errors import HyperSegError, OutputError
from hyperseg_runtime.output.render import Renderer
from hyperseg_runtime.output.sinks import Result, Sink, VideoSink, WindowClosedError
from hyperseg_runtime.pipeline import LivePolicy, segmented
from hyperseg_runtime.preprocess import restore
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import Stage, StageClock, StageSummary
from hyperseg_runtime.video.frames import FrameSource, SegmentedFrame


class _SinkFailedError(Exception):
    """Carries an OutputError together with the sink it came from."""

    def __init__(self, sink: Sink, error: OutputError) -> None:
        super().__init__(str(error))
        self.sink, self.error = sink, error


@dataclass(frozen=True)
class JobSummary:
    """What a run did."""

    frames: int
    seconds: float
    """Wall time from the first frame asked for to the last output closed."""
    stages: dict[Stage, StageSummary]
    interrupted: bool
    problems: tuple[str, ...]

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Job:
    """Everything a run needs; `on_frame` is told the number of frames done, `stop_asked` is polled."""

    source: FrameSource
    segmenter: Segmenter
    renderer: Renderer
    sinks: Sequence[Sink]
    policy: LivePolicy = LivePolicy.LATEST
    clock: StageClock | None = None
    on_frame: Callable[[int], None] = lambda _: None
    stop_asked: Callable[[], bool] = lambda: False

    def run(self) -> JobSummary:
        """Runs to the source's end. A source or a sink that fails is an error; what a source gave before is kept.

        Raises HyperSegError of a sink (its own output is thrown away), or of a source that gave no frame at all.
        """
        clock = self.clock or StageClock()
        start = time.perf_counter()
        failure, interrupted, done = None, False, 0
        try:
            with contextlib.closing(segmented(self.source, self.segmenter, clock, self.policy)) as frames:
                while True:
                    try:
                        frame = next(frames, None)
                    except HyperSegError as error:
                        failure = error
                        break
                    if frame is None:
                        break
                    interrupted = not self._take(frame, clock)
                    done += 1
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
        problems = [*self.source.problems, *([] if failure is None else [str(failure)])]
        return JobSummary(done, time.perf_counter() - start, clock.summary(), interrupted, tuple(problems))

    def _take(self, frame: SegmentedFrame, clock: StageClock) -> bool:
        """Renders a frame and gives it to the sinks; False where the user closed the window."""
        with clock.measure(Stage.POSTPROCESS):
            labels = restore(frame.network_labels, frame.source.size)
            result = Result(frame.source, labels, self.renderer(frame.source.image, labels))
        with clock.measure(Stage.ENCODE):
            for sink in self.sinks:
                try:
                    sink.write(result)
                except WindowClosedError:
                    return False
                except OutputError as error:
                    raise _SinkFailedError(sink, error) from error
        return True

    def _close(self, ended_early: bool) -> None:
        for sink in self.sinks:
            if isinstance(sink, VideoSink):
                sink.interrupted = ended_early
            try:
                sink.close()
            except OutputError as error:
                raise _SinkFailedError(sink, error) from error

    def _keep_others(self, failed: Sink) -> None:
        """After one sink failed: what the others have is whole so far, and is kept."""
        for sink in self.sinks:
            if sink is failed:
                sink.abort()
                continue
            if isinstance(sink, VideoSink):
                sink.interrupted = True
            try:
                sink.close()
            except OutputError:
                sink.abort()

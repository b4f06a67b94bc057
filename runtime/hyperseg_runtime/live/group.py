"""`LiveGroup`: runs of several live sources at the same time, none of which waits for another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hyperseg_runtime.errors import HyperSegError, InputError
from hyperseg_runtime.live.source import LiveSource
from hyperseg_runtime.pipeline import Job, JobSummary

_TICK_SECONDS = 0.02
_ABORT_SECONDS = 5.0
"""How long a second Ctrl-C waits for outputs to be discarded; one that hangs leaves its draft behind."""


class _AbortedError(BaseException):
    """Discards a run's outputs; not an Exception, so that nothing takes it for a fault of a frame."""


@dataclass
class LiveRun:
    """A source and what is made of it, in a thread of its own."""

    source: LiveSource
    job_of: Callable[[LiveSource, Callable[[], bool]], Job]
    """The run, once there is a frame; also given what it has to poll as `stop_asked`."""
    summary: JobSummary | None = None
    error: HyperSegError | None = None
    bug: BaseException | None = None

    def begin(self, stop_asked: Callable[[], bool]) -> None:
        # A sink may wait without end, for a pipe's reader or a dead file server. That must not keep the process alive.
        self._thread = threading.Thread(target=self._run, args=(stop_asked,), name="hyperseg-live-run", daemon=True)
        self._thread.start()

    def _run(self, stop_asked: Callable[[], bool]) -> None:
        source = self.source
        try:
            if source.await_frame():
                self.summary = self.job_of(source, stop_asked).run()
            else:
                self.error = InputError(source.failure or f"{source.name}: interrupted before the first frame")
        except HyperSegError as error:
            self.error = error
        except _AbortedError:
            pass
        except BaseException as error:
            self.bug = error
        finally:
            source.close()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))


class LiveGroup:
    """Runs at the same time, until each has ended.

    A source that has not answered yet is waited for as long as another one runs; if none answers, all have failed.
    """

    def __init__(self, runs: Sequence[LiveRun], stop_asked: Callable[[], bool], note: Callable[[str], None]) -> None:
        """stop_asked: ends all runs, whose outputs are completed. note: gets a line on what does not answer."""
        self._runs, self._stop_asked, self._note = runs, stop_asked, note
        self._stopping = self._aborted = False
        self._reported: set[int] = set()

    def run(self, tick: Callable[[], None]) -> None:
        """Runs to the end of the last source. tick: called many times a second, in this thread.

        The results and the users' errors are in the runs; raises what is neither, once all outputs are completed. An
        exception of this thread, such as KeyboardInterrupt, discards the outputs.
        """
        for run in self._runs:
            run.begin(self._ends)
        try:
            while any(run.running for run in self._runs):
                tick()
                if self._stop_asked() or any(run.bug is not None for run in self._runs):
                    self._stopping = True
                    self._stop(self._runs)
                self._settle_unanswered()
                self._runs_end(_TICK_SECONDS)
            tick()
        except BaseException:
            self._aborted = True
            self._stop(self._runs)
            self._runs_end(_ABORT_SECONDS)
            raise
        for run in self._runs:
            if run.bug is not None:
                raise run.bug

    def _ends(self) -> bool:
        """What the runs poll, in their own threads."""
        if self._aborted:
            raise _AbortedError
        return self._stopping

    def _stop(self, runs: Sequence[LiveRun]) -> None:
        for run in runs:
            run.source.stop()

    def _settle_unanswered(self) -> None:
        """Says once which sources do not answer; ends them when nothing else is left to run."""
        if not all(run.source.tried or run.source.ended for run in self._runs):
            return
        unanswered = [run for run in self._runs if run.source.tried and not run.source.connected]
        if not any(run.running and run.source.connected for run in self._runs):
            self._stop(unanswered)
            return
        for run in unanswered:
            if run.running and not run.source.ended and id(run) not in self._reported:
                self._reported.add(id(run))
                self._note(f"{run.source.failure}; trying again as long as another source runs")

    def _runs_end(self, seconds: float) -> None:
        """Waits for the end of all runs, at most for so long."""
        deadline = time.monotonic() + seconds
        for run in self._runs:
            run.join(deadline - time.monotonic())


class Notes:
    """Lines from any thread, for one that prints them."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, text: str) -> None:
        self._lines.put(text)

    def tell(self) -> None:
        while not self._lines.empty():
            self._note(self._lines.get())

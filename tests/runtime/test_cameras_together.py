"""Live sources at the same time: none waits for another, memory is bounded, and every run ends."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hyperseg_runtime.errors import InputError, OutputError
from hyperseg_runtime.live.batching import SharedSegmenter
from hyperseg_runtime.live.connection import Connection, Opened, Opener
from hyperseg_runtime.live.group import LiveGroup, LiveRun
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.live.source import LiveSource
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import Result, Sink
from hyperseg_runtime.pipeline import Job, LivePolicy
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.video.sources import Selection, SourceFrame

from .test_cameras_batching import until
from .test_pipeline import allocated_bytes

QUICK = Reconnection(first_seconds=0.01, longest_seconds=0.05)
ONCE = Reconnection(attempts=0)
WHOLE = Selection()
LIMIT_SECONDS = 60


class Camera:
    """Gives `count` frames (None: without end), as fast as they are taken, or with a pause before each."""

    expected_frames, stopped_by = None, None
    rate, time_base = Fraction(30), Fraction(1, 1000)
    name, live, exhausted = "cam", True, True

    def __init__(self, count: int | None, pause: float = 0, size: tuple[int, int] = (64, 96)) -> None:
        self._count, self._pause, self._size = count, pause, size
        self.problems: list[str] = []
        self.given = 0
        self.closed = threading.Event()

    def frames(self) -> Iterator[SourceFrame]:
        numbers = itertools.count() if self._count is None else range(self._count)
        for number in numbers:
            time.sleep(self._pause)
            self.given += 1
            image = np.full((*self._size, 3), number % 256, np.uint8)
            yield SourceFrame(image, number, Fraction(number, 1000), "x")

    def stop(self) -> None: ...

    def close(self) -> None:
        self.closed.set()


class Kept(Sink):
    """Counts frames; `during` is called with each."""

    def __init__(self, during: Callable[[int], None] = lambda _: None) -> None:
        self.got: list[int] = []
        self.ended = ""
        self.begun = False
        self._during = during

    def write(self, result: Result) -> None:
        self.begun = True
        self._during(len(self.got))
        self.got.append(result.frame.index)

    def close(self, interrupted: bool = False) -> None:
        self.ended = "interrupted" if interrupted else "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def live_run(
    segmenter: SharedSegmenter,
    renderer: Renderer,
    opener: Opener,
    sink: Sink,
    name: str = "cam",
    policy: LivePolicy = LivePolicy.LATEST,
    selection: Selection = WHOLE,
    reconnection: Reconnection = ONCE,
) -> LiveRun:
    connect = partial(Connection, opener, newest_only=policy is LivePolicy.LATEST, clock=time.monotonic)
    source = LiveSource(name, name, connect, selection, reconnection, lambda _: None)
    return LiveRun(
        source,
        lambda live, stop: Job(live, segmenter, renderer, [sink], policy, stop_asked=stop, on_drop=live.frame_replaced),
    )


@pytest.fixture
def build(segmenter: Segmenter) -> Iterator[Callable[..., LiveRun]]:
    with SharedSegmenter(segmenter) as shared:
        yield partial(live_run, shared, Renderer(segmenter.metadata, Style.MASK))


def of(camera: Camera) -> Opener:
    return lambda _: Opened(camera)


def finish(runs: list[LiveRun], stop: Callable[[], bool] = lambda: False, notes: list[str] | None = None) -> None:
    """Runs a group, and fails where it does not end."""
    deadline = time.monotonic() + LIMIT_SECONDS

    def tick() -> None:
        assert time.monotonic() < deadline, "the group does not end"

    LiveGroup(runs, stop, ([] if notes is None else notes).append).run(tick)


def test_a_blocked_output_stalls_no_other(build: Callable[..., LiveRun]) -> None:
    released = threading.Event()
    blocked = Kept(lambda _: until(released.is_set))
    other = Kept(lambda done: released.set() if done == 50 else None)
    runs = [
        build(of(Camera(None)), blocked, "blocked", selection=Selection(max_frames=20)),
        build(of(Camera(None, 0.001)), other, "other", selection=Selection(max_frames=60)),
    ]
    finish(runs)
    assert (len(blocked.got), len(other.got)) == (20, 60)
    assert blocked.ended == other.ended == "closed"
    losses = runs[0].source.losses
    assert losses.dropped > 50, "while its output was blocked"


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
@pytest.mark.parametrize("policy", list(LivePolicy))
def test_memory_is_bounded_while_an_output_is_blocked(build: Callable[..., LiveRun], policy: LivePolicy) -> None:
    """A camera that sends without end: with `latest` its frames are dropped, with `all` it has to wait."""
    released = threading.Event()
    size = (720, 1280)
    camera = Camera(None, 0.001, size)
    sink = Kept(lambda _: until(released.is_set))
    run = build(of(camera), sink, policy=policy, selection=Selection(max_frames=20))
    at: list[int] = []

    def stop() -> bool:
        if not at and sink.begun:
            at.append(allocated_bytes())
            at.append(camera.given)
        if len(at) == 2 and (camera.given > at[1] + 100 or (policy is LivePolicy.ALL and waits(camera))):
            gc.collect()
            at.append(allocated_bytes())
            released.set()
        return False

    finish([run], stop)
    frame = size[0] * size[1] * 3
    # A place in the connection, two queues of the pipeline, one frame in each of its three threads, and their images
    # for the network; a hundred frames would be ten times as much.
    assert at[2] - at[0] < 12 * frame
    assert len(sink.got) == 20
    assert (run.source.losses.dropped > 50) == (policy is LivePolicy.LATEST)
    assert sink.got == list(range(20)) or policy is LivePolicy.LATEST


def waits(camera: Camera) -> bool:
    before = camera.given
    time.sleep(0.3)
    return camera.given == before


def test_a_source_that_never_opens_stalls_no_other(build: Callable[..., LiveRun]) -> None:
    """A call into a driver that does not return, until after the run."""
    after = threading.Event()
    stuck = Camera(1)

    def opens(selection: Selection) -> Opened:
        del selection
        after.wait(LIMIT_SECONDS)
        return Opened(stuck)

    sink = Kept()
    runs = [
        build(opens, Kept(), "stuck", reconnection=Reconnection(stall_seconds=0.1)),
        build(of(Camera(20)), sink, "works", policy=LivePolicy.ALL),
    ]
    finish(runs)
    assert sink.got == list(range(20))
    assert isinstance(runs[0].error, InputError) and "no frame" in str(runs[0].error)
    after.set()
    assert stuck.closed.wait(LIMIT_SECONDS), "whoever comes too late closes what it has opened"


def test_a_source_that_hangs_while_it_is_read(build: Callable[..., LiveRun]) -> None:
    after = threading.Event()

    class Hanging(Camera):
        def frames(self) -> Iterator[SourceFrame]:
            yield from super().frames()
            after.wait(LIMIT_SECONDS)

    cameras = iter([Hanging(3), Camera(4)])
    sink = Kept()
    again = Reconnection(stall_seconds=0.1, first_seconds=0.01)
    run = build(
        lambda _: Opened(next(cameras)),
        sink,
        policy=LivePolicy.ALL,
        reconnection=again,
        selection=Selection(max_frames=7),
    )
    finish([run])
    after.set()
    assert sink.got == list(range(7))
    assert run.source.losses.reconnections == 1


def test_if_none_answers_all_have_failed(build: Callable[..., LiveRun]) -> None:
    def refuses(selection: Selection) -> Opened:
        raise InputError("cannot read it: it does not answer")

    notes: list[str] = []
    runs = [build(refuses, Kept(), name, reconnection=Reconnection()) for name in ("one", "two")]
    finish(runs, notes=notes)
    assert [str(run.error) for run in runs] == [
        f"{name}: cannot read it: it does not answer" for name in ("one", "two")
    ]
    assert notes == []


def test_one_that_does_not_answer_yet_is_tried_as_long_as_another_runs(build: Callable[..., LiveRun]) -> None:
    late, notes = Kept(), list[str]()

    def opens(selection: Selection) -> Opened:
        del selection
        if not notes:
            raise InputError("cannot read late: it does not answer")
        return Opened(Camera(5))

    runs = [
        build(opens, late, "late", policy=LivePolicy.ALL, reconnection=QUICK, selection=Selection(max_frames=5)),
        build(of(Camera(None, 0.01)), Kept(), "works"),
    ]
    finish(runs, lambda: late.ended != "", notes)
    assert (late.got, late.ended) == (list(range(5)), "closed")
    assert notes == ["cannot read late: it does not answer; trying again as long as another source runs"]


def test_stopping_completes_all_outputs(build: Callable[..., LiveRun]) -> None:
    """Also while one source is lost, and another one has not answered."""
    gone = threading.Event()

    def lost(selection: Selection) -> Opened:
        if gone.is_set():
            raise InputError("cannot read lost")
        gone.set()
        return Opened(Camera(3))

    def silent(selection: Selection) -> Opened:
        raise InputError("cannot read silent")

    sinks = [Kept(), Kept(), Kept()]
    again = Reconnection()
    runs = [
        build(of(Camera(None, 0.001)), sinks[0], "runs", reconnection=again),
        build(lost, sinks[1], "lost", policy=LivePolicy.ALL, reconnection=again),
        build(silent, sinks[2], "silent", reconnection=again),
    ]
    finish(runs, stop=lambda: len(sinks[0].got) > 20 and len(sinks[1].got) == 3 and runs[1].source.away)
    assert [sink.ended for sink in sinks] == ["interrupted", "interrupted", ""]
    assert [run.summary is not None and run.summary.interrupted for run in runs] == [True, True, False]


def test_an_output_that_fails_ends_its_own_run(build: Callable[..., LiveRun]) -> None:
    def fails(done: int) -> None:
        if done == 3:
            raise OutputError("the disk is full")

    broken, whole = Kept(fails), Kept()
    runs = [
        build(of(Camera(None, 0.001)), broken, "broken", reconnection=QUICK),
        build(of(Camera(30, 0.001)), whole, "whole", policy=LivePolicy.ALL),
    ]
    finish(runs)
    assert "disk is full" in str(runs[0].error)
    assert (broken.ended, whole.ended, whole.got) == ("aborted", "closed", list(range(30)))


def test_a_second_interrupt_discards_the_outputs(build: Callable[..., LiveRun]) -> None:
    sink = Kept()
    run = build(of(Camera(None, 0.001)), sink, reconnection=QUICK)
    group = LiveGroup([run], lambda: False, lambda _: None)

    def tick() -> None:
        if len(sink.got) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group.run(tick)
    assert sink.ended == "aborted"


@pytest.mark.parametrize("where", ["source", "sink"])
def test_what_is_no_user_s_error_is_raised(build: Callable[..., LiveRun], where: str) -> None:
    """After the outputs of the others are completed."""

    class Broken(Camera):
        def frames(self) -> Iterator[SourceFrame]:
            yield from super().frames()
            raise TypeError("a bug")

    def breaks(done: int) -> None:
        if done == 2:
            raise TypeError("a bug")

    whole = Kept()
    at_fault = (of(Broken(3)), Kept()) if where == "source" else (of(Camera(None)), Kept(breaks))
    runs = [build(*at_fault, "broken", reconnection=QUICK), build(of(Camera(None, 0.001)), whole, "whole")]
    with pytest.raises(TypeError, match="a bug"):
        finish(runs)
    assert whole.ended == ("interrupted" if whole.got else "")

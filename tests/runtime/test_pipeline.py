"""The pipeline: overlapped stages, live sources, bounded memory."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.errors import InputError, OutputError
from hyperseg_runtime.output.render import Renderer, Style
from hyperseg_runtime.output.sinks import Result, Sink, VideoSink
from hyperseg_runtime.output_files import Draft
from hyperseg_runtime.pipeline import Job, LivePolicy, segmented
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.timing import StageClock
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Selection, SourceFrame

from .clips import write_clip
from .sounds import write_sound_clip
from .test_sound_from_pipes import LIMIT_SECONDS, all_of, fifo


def rest(seconds: float) -> float:
    """Sleeps, and returns the actual duration, which is longer on a busy machine."""
    started = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - started


class Source:
    """Generated frames at a given rate; fails after `fails_after` frames."""

    name, expected_frames = "made", None
    rate, time_base = Fraction(30), Fraction(1, 30)

    def __init__(self, count: int, *, pause: float = 0, live: bool = False, fails_after: int | None = None) -> None:
        self.problems: list[str] = []
        self.live = live
        self.rested = 0.0
        self._count, self._pause, self._fails_after = count, pause, fails_after

    def frames(self) -> Iterator[SourceFrame]:
        for number in range(self._count):
            if number == self._fails_after:
                raise InputError("the source broke")
            self.rested += rest(self._pause)
            yield SourceFrame(np.full((64, 96, 3), number % 256, np.uint8), number, Fraction(number, 30), f"{number}")

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


class SlowSink(Sink):
    """A slow sink that records its frames and how it was closed."""

    def __init__(self, pause: float = 0) -> None:
        self.got: list[int] = []
        self.ended = ""
        self.rested = 0.0
        self._pause = pause

    def write(self, result: Result) -> None:
        self.rested += rest(self._pause)
        self.got.append(result.frame.index)

    def close(self, interrupted: bool = False) -> None:
        del interrupted
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def job(segmenter: Segmenter, source: Source, sink: SlowSink, policy: LivePolicy = LivePolicy.LATEST) -> Job:
    return Job(source, segmenter, Renderer(segmenter.metadata, Style.MASK), [sink], policy)


def test_stages_overlap(segmenter: Segmenter) -> None:
    """Source and sink sleep for 10 ms per frame; without overlap the total would be the sum."""
    source, sink = Source(30, pause=0.01), SlowSink(0.01)
    summary = job(segmenter, source, sink).run()
    assert sink.got == list(range(30))
    assert summary.seconds < 0.9 * (source.rested + sink.rested)
    assert (summary.frames, summary.interrupted, summary.problems) == (30, False, ())


def test_a_live_source_drops_frames_or_keeps_all(segmenter: Segmenter) -> None:
    for policy, complete in ((LivePolicy.LATEST, False), (LivePolicy.ALL, True)):
        sink = SlowSink(0.02)
        job(segmenter, Source(60, pause=0.001, live=True), sink, policy).run()
        assert (sink.got == list(range(60))) is complete
        assert sink.got == sorted(sink.got)
        assert sink.got[-1] == 59


def test_a_source_that_breaks_keeps_what_came(segmenter: Segmenter) -> None:
    sink = SlowSink()
    summary = job(segmenter, Source(10, fails_after=4), sink).run()
    assert (sink.got, sink.ended, summary.problems) == ([0, 1, 2, 3], "closed", ("the source broke",))
    with pytest.raises(InputError, match="broke"):
        job(segmenter, Source(10, fails_after=0), SlowSink()).run()


def test_a_source_that_is_far_ahead_waits(segmenter: Segmenter) -> None:
    seen: list[int] = []

    class Watched(Source):
        def frames(self) -> Iterator[SourceFrame]:
            for frame in super().frames():
                seen.append(frame.index)
                yield frame

    for frame in segmented(Watched(100), segmenter, StageClock()):
        time.sleep(0.002)
        # Two frames wait at each of two places, each of three threads holds one, and one is being made.
        assert seen[-1] - frame.source.index <= 8


def test_a_failed_output_does_not_wait_for_a_silent_pipe(segmenter: Segmenter, tmp_path: Path) -> None:
    # MPEG-2, which FFmpeg decodes without frames held back in threads.
    content = write_sound_clip(tmp_path / "clip.mkv", count=30, codec="mpeg2video").read_bytes()
    fed, silent, done, given_up = (threading.Event() for _ in range(4))

    def feed(descriptor: int) -> None:
        all_of(content)(descriptor)
        fed.set()
        if not done.wait(LIMIT_SECONDS):
            given_up.set()

    def polled() -> bool:
        """Asked while the pipe has no data."""
        if fed.is_set():
            silent.set()
        return False

    class Failing(SlowSink):
        def write(self, result: Result) -> None:
            if result.frame.index >= 24:  # the others fit into the queues
                assert silent.wait(LIMIT_SECONDS)
                raise OutputError("the disk is full")

    with fifo(tmp_path / "fifo.mkv", feed) as pipe:
        source = VideoReader(str(pipe), stop_asked=polled)
        with pytest.raises(OutputError, match="the disk is full"):
            Job(source, segmenter, Renderer(segmenter.metadata, Style.MASK), [Failing()]).run()
        done.set()
        source.close()
    assert not given_up.is_set()
    assert source.problems == []


def test_an_interrupted_close_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    reader = VideoReader(str(write_clip(tmp_path / "clip.mp4", count=3)))
    sink = VideoSink(tmp_path / "out.mp4", reader, None, Selection())
    for frame in reader.frames():
        sink.write(Result(frame, np.zeros(frame.size, np.uint8), frame.image))
    reader.close()
    assert list(tmp_path.glob(".*.part"))
    monkeypatch.setattr(Draft, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def allocated_bytes() -> int:
    """Returns the bytes that glibc's malloc has handed out and not got back: NumPy's and FFmpeg's among them.

    Unlike the resident set, it does not depend on what the allocator returned to the system (mallinfo(3)).
    """
    names = ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]
    structure = type("mallinfo2", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in names]})
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = structure
    found = mallinfo2()
    return int(found.uordblks + found.hblkhd)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc 2.33 or newer"
)
def test_memory_does_not_grow(segmenter: Segmenter, tmp_path: Path) -> None:
    """Compares a tenth of a long video with the whole video."""
    clip = write_clip(tmp_path / "long.mp4", count=3000, size=(96, 128), rate=Fraction(30), sound="aac")
    at: dict[int, int] = {}

    def remember(done: int) -> None:
        if done in (300, 3000):
            gc.collect()  # what earlier tests left
            at[done] = allocated_bytes()

    reader = VideoReader(str(clip))
    sink = VideoSink(tmp_path / "out.mp4", reader, reader.sound(), Selection())
    Job(reader, segmenter, Renderer(segmenter.metadata, Style.OVERLAY), [sink], on_frame=remember).run()
    reader.close()
    # The index of an MP4 file is kept until its end: some 50 bytes a frame. One leaked frame in ten would be 10 MB.
    assert at[3000] - at[300] < 4 << 20

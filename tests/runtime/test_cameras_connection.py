"""Parts of a live run by themselves: the beginning of a connection, its sound, files that sources share."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hyperseg_runtime.live.connection import _LONGEST_BACKLOG_SECONDS, Connection, Opened, _Backlog
from hyperseg_runtime.live.sinks import SharedSink
from hyperseg_runtime.output.sinks import Result
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import SourceFrame

from .sounds import Track, write_sound_clip
from .test_cameras_batching import LIMIT_SECONDS, until
from .test_cameras_together import WHOLE, Camera, Kept


def test_frames_of_a_backlog_are_left_out() -> None:
    """25 frames a second: ten at once, then as they are taken."""
    now = 50.0
    backlog = _Backlog(lambda: now)
    over = []
    for number in range(15):
        now += 0.001 if number < 10 else 0.04
        backlog.note(SourceFrame(np.zeros((2, 2, 3), np.uint8), number, Fraction(number, 25), "x"))
        over.append(backlog.over)
    assert over == [False] * 10 + [True] * 5


def test_a_source_that_is_always_too_fast_is_taken_after_a_while() -> None:
    now, taken = 0.0, 0.0
    backlog = _Backlog(lambda: now)
    number = 0
    while now < 10 and not taken:
        backlog.note(SourceFrame(np.zeros((2, 2, 3), np.uint8), number, Fraction(number, 25), "x"))
        taken = now if backlog.over else 0.0
        now, number = now + 0.01, number + 1
    assert taken == pytest.approx(_LONGEST_BACKLOG_SECONDS, abs=0.02)


@pytest.mark.parametrize("frames", [0, 3])
def test_a_source_stays_open_as_long_as_its_sound_is_needed(tmp_path: Path, frames: int) -> None:
    clip = write_sound_clip(tmp_path / "clip.mkv", Track("aac"), count=5)
    with av.open(str(clip)) as container:
        camera, track = Camera(frames), SoundTrack(container.streams.audio)
        connection = Connection(
            lambda _: Opened(camera, lambda: track), WHOLE, with_sound=True, newest_only=True, clock=time.monotonic
        )
        until(lambda: not connection.alive)
        assert camera.closed.is_set() == (frames == 0)
        connection.release()
        assert camera.closed.is_set()


def test_a_shared_file_is_written_by_one_at_a_time() -> None:
    inside = threading.Semaphore(1)

    def alone(done: int) -> None:
        assert inside.acquire(blocking=False), "another thread is writing"
        time.sleep(0.001)
        inside.release()

    file, lock = Kept(alone), threading.Lock()
    image = np.zeros((4, 6, 3), np.uint8)
    result = Result(SourceFrame(image, 0, Fraction(0), "x"), image[..., 0], image)

    def write() -> None:
        for _ in range(20):
            SharedSink(file, lock).write(result)

    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(write) for _ in range(4)]:
            one.result(LIMIT_SECONDS)
    assert len(file.got) == 80

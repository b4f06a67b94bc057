"""One live source over several connections: losses, back-off, times and counts, with a clock that the tests set."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hyperseg_runtime.live.connection import Ending, Opened, Timing
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.live.source import LiveSource
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection, SourceFrame

from .sounds import Track, write_sound_clip

RATE = Fraction(10)
WHOLE, JUST_ENDED = Selection(), Ending()


class Answering:
    """A source that has answered."""

    name, expected_frames, exhausted, stopped_by = "camera", 7, True, None
    rate, time_base = RATE, Fraction(1, 1000)

    def __init__(self, live: bool) -> None:
        self.live = live
        self.problems: list[str] = []

    def frames(self) -> Iterator[SourceFrame]:
        yield from ()

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Reading:
    """A connection without a thread: the test says what comes."""

    def __init__(self, selection: Selection, with_sound: bool, now: float) -> None:
        self.selection, self.with_sound, self.last_sign = selection, with_sound, now
        self.opened: Opened | None = None
        self.timing = Timing(RATE, Fraction(1, 1000))
        self.sound: SoundTrack | None = None
        self.frames = self.dropped = 0
        self.ending: Ending | None = None
        self.blocked = self.abandoned = False
        self.alive = True
        self.waiting: list[SourceFrame] = []

    def take(self) -> SourceFrame | None:
        return self.waiting.pop(0) if self.waiting else None

    def wait(self) -> None:
        pytest.fail("nothing here waits")

    def abandon(self) -> None:
        self.abandoned = True


class Scene:
    """A source, its clock, and the connections that it has made."""

    def __init__(self, selection: Selection = WHOLE, chance: float = 1.0, **how: float | int | None) -> None:
        self.now = 100.0
        self.readings: list[Reading] = []
        self.notes: list[str] = []
        reconnection = Reconnection(**how)  # type: ignore[arg-type]
        self.source = LiveSource(
            "cam", "cam", self._connect, selection, reconnection, self.notes.append, lambda: self.now, lambda: chance
        )

    def _connect(self, selection: Selection, with_sound: bool) -> Reading:
        self.readings.append(Reading(selection, with_sound, self.now))
        return self.readings[-1]

    def after(self, seconds: float) -> SourceFrame | None:
        self.now += seconds
        return self.source.step()

    def answers(self, *times: float, live: bool = True, size: tuple[int, int] = (4, 6), untimed: bool = False) -> None:
        """The newest connection gives frames."""
        reading = self.readings[-1]
        reading.opened = Opened(Answering(live), untimed=untimed)
        for time in times:
            image = np.zeros((*size, 3), np.uint8)
            reading.waiting.append(SourceFrame(image, reading.frames, Fraction(str(time)), "x"))
            reading.frames += 1
            reading.last_sign = self.now

    def ends(self, ending: Ending = JUST_ENDED) -> None:
        self.readings[-1].ending = ending
        self.after(0)

    def lost_after(self, *times: float) -> None:
        self.after(0)
        self.answers(*times)
        for _ in times:
            assert self.after(0) is not None
        self.ends(Ending(stopped_by="Connection reset by peer"))


def test_the_delays_double_up_to_a_limit_and_differ() -> None:
    policy = Reconnection()
    longest = [policy.delay(failures, 1.0) for failures in range(1, 10)]
    assert longest == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [policy.delay(failures, 0.0) for failures in range(1, 10)] == [delay / 2 for delay in longest]
    assert policy.delay(10**6, 1.0) == 30


def test_a_lost_source_is_tried_again_later_and_later() -> None:
    scene = Scene()
    scene.lost_after(0, 0.1)
    waited = []
    for _ in range(8):
        before, count = scene.now, len(scene.readings)
        while len(scene.readings) == count:
            scene.after(0.25)
        waited.append(scene.now - before)
        scene.ends(Ending("cannot read cam: it does not answer"))
    assert waited == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert scene.notes == ["cam: lost (Connection reset by peer); trying again"], "one line, however many attempts"


def test_times_numbers_and_counts_go_on_after_an_outage() -> None:
    scene = Scene()
    scene.after(0)
    scene.answers(5, 5.1)
    first = [scene.after(0), scene.after(0.1)]
    scene.readings[-1].dropped = 3
    scene.ends()
    while len(scene.readings) == 1:
        scene.after(0.25)
    scene.answers(0, 0.1)  # its clock has begun again
    second = [scene.after(1.0), scene.after(0.1)]
    frames = [frame for frame in (*first, *second) if frame is not None]
    assert frames[0].time == 0, "without sound, which goes by the source's times"
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.name for frame in frames] == [f"cam_{index:06d}" for index in range(4)]
    gap = frames[2].time - frames[0].time
    assert float(gap) == pytest.approx(0.1 + 0.5 + 1.0), "as long as it was by the clock"
    assert frames[3].time - frames[2].time == Fraction(1, 10), "as the source says"
    losses = scene.source.losses
    assert (losses.dropped, losses.reconnections) == (3, 1)
    assert losses.outage_seconds == pytest.approx(1.6)
    assert scene.notes[1] == "cam: back after 1.6 s"


def test_sound_and_start_are_for_the_first_connection_only() -> None:
    scene = Scene(Selection(start=Fraction(2), every=3, max_frames=50))
    scene.after(0)
    scene.ends(Ending("cannot read cam"))
    while len(scene.readings) == 1:
        scene.after(0.25)
    scene.answers(0)
    scene.after(0)
    scene.ends()
    while len(scene.readings) == 2:
        scene.after(0.25)
    assert [reading.with_sound for reading in scene.readings] == [True, True, False]
    assert [reading.selection for reading in scene.readings] == [
        Selection(start=Fraction(2), every=3),
        Selection(start=Fraction(2), every=3),
        Selection(every=3),
    ]


def test_sound_keeps_the_source_s_times_and_ends_with_its_connection(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "clip.mkv", Track("aac"), count=5)
    with av.open(str(clip)) as container:
        scene = Scene()
        scene.after(0)
        scene.readings[-1].sound = SoundTrack(container.streams.audio)
        scene.answers(5)
        frame = scene.after(0)
        assert frame is not None and frame.time == 5
        scene.ends()
        while len(scene.readings) == 1:
            scene.after(0.25)
        scene.answers(0)
        assert scene.after(0) is not None
        assert scene.notes[1] == "cam: back after 0.5 s, from here on without its sound"


def test_a_source_that_sends_nothing_is_abandoned() -> None:
    scene = Scene(stall_seconds=5.0)
    scene.after(0)
    scene.answers(0)
    scene.after(0)
    scene.after(6.9)
    assert not scene.readings[0].abandoned
    scene.after(0.2)
    assert scene.readings[0].abandoned
    assert scene.notes == ["cam: lost (no frame for 7 s); trying again"]


def test_a_source_that_waits_for_us_is_not_lost() -> None:
    scene = Scene(stall_seconds=5.0)
    scene.after(0)
    scene.answers(0)
    scene.after(0)
    scene.readings[0].blocked = True
    scene.after(1000)
    assert not scene.readings[0].abandoned


def test_threads_that_do_not_return_are_few() -> None:
    scene = Scene(stall_seconds=1.0)
    for _ in range(5000):
        scene.after(1.0)
    assert len(scene.readings) == 3
    assert all(reading.abandoned for reading in scene.readings)
    assert len([note for note in scene.notes if "hang" in note]) == 1
    scene.readings[0].alive = False
    for _ in range(100):
        scene.after(1.0)
    assert len(scene.readings) == 4


def test_attempts_are_limited_and_counted_in_a_row() -> None:
    scene = Scene(attempts=2)
    scene.lost_after(0)
    for _ in range(2):
        while scene.source._reading is None:
            scene.after(0.25)
        scene.ends(Ending("cannot read cam: it does not answer"))
    assert scene.source.ended
    (problem,) = scene.source.problems
    assert "2 attempts to reconnect failed" in problem and "kept" in problem

    patient = Scene(attempts=1)
    for _ in range(5):  # each time it comes back for a minute
        count = len(patient.readings)
        while len(patient.readings) == count:
            patient.after(0.25)
        patient.answers(0)
        assert patient.after(60) is not None
        patient.ends()
    assert not patient.source.ended


def test_without_reconnection_an_end_is_no_problem_and_an_error_is() -> None:
    ended = Scene(attempts=0)
    ended.after(0)
    ended.answers(0)
    ended.after(0)
    ended.ends()
    assert ended.source.ended and ended.source.problems == [] and ended.notes == []
    broken = Scene(attempts=0)
    broken.after(0)
    broken.answers(0)
    broken.after(0)
    broken.ends(Ending(stopped_by="reset", problems=("cam stopped: reset",)))
    assert broken.source.ended and broken.source.problems == ["cam stopped: reset"]
    silent = Scene(attempts=0)
    silent.after(0)
    silent.ends(Ending("cannot read cam: it does not answer"))
    assert silent.source.ended and silent.source.failure == "cannot read cam: it does not answer"


def test_a_file_is_read_once() -> None:
    scene = Scene()
    scene.after(0)
    scene.answers(0, live=False)
    scene.after(0)
    assert scene.source.expected_frames == 7
    scene.ends(Ending(problems=("cam is truncated",)))
    assert scene.source.ended and scene.source.problems == ["cam is truncated"]
    assert len(scene.readings) == 1


def test_the_selected_part_ends_during_an_outage_too() -> None:
    scene = Scene(Selection(end=Fraction(10)))
    scene.lost_after(0)
    for _ in range(30):
        scene.after(1.0)
        if scene.source.ended:
            break
        if scene.source._reading is not None:
            scene.ends(Ending("cannot read cam"))
    assert scene.source.ended
    assert 10 <= scene.now - 100 <= 10 + 8, "at the next attempt after the end, without making it"
    assert scene.source.losses.outage_seconds == pytest.approx(scene.now - 100)


def test_frames_after_the_selected_part_are_left_out() -> None:
    scene = Scene(Selection(end=Fraction(3)))
    scene.lost_after(0)
    while len(scene.readings) == 1:
        scene.after(0.25)
    scene.answers(0, 1, 2.5)
    assert [scene.after(0) is not None for _ in range(3)] == [True, True, False]
    assert scene.source.ended


def test_frames_that_are_replaced_do_not_count() -> None:
    """Whoever reads the frames drops waiting ones for newer ones, and says so."""
    scene = Scene(Selection(max_frames=4))
    scene.after(0)
    scene.answers(*range(9))
    given = []
    for frame in scene.source.frames():
        given.append(frame.index)
        if frame.index in (2, 3):  # these replace the ones before them
            scene.source.frame_replaced()
    assert given == [0, 1, 2, 3, 4, 5]
    assert (scene.source.taken, scene.source.losses.dropped) == (4, 2)
    assert scene.readings[0].abandoned


def test_another_size_is_said_once() -> None:
    scene = Scene()
    scene.lost_after(0)
    while len(scene.readings) == 1:
        scene.after(0.25)
    scene.answers(0, 1, size=(8, 12))
    assert [scene.after(0) is not None for _ in range(2)] == [True, True]
    assert [note for note in scene.notes if "frames are" in note] == [
        "cam: its frames are 12x8 now, 6x4 before; a video keeps its first size"
    ]


def test_frames_without_times_have_those_of_their_arrival() -> None:
    scene = Scene()
    scene.after(0)
    times = []
    for number in range(4):
        scene.answers(number * 0.04, untimed=True)  # FFmpeg's: 25 a second
        frame = scene.after(0.25)
        assert frame is not None
        times.append(float(frame.time))
    assert times == [0, 0.25, 0.5, 0.75]


def test_a_source_that_has_not_answered_yet_says_nothing() -> None:
    scene = Scene()
    scene.after(0)
    scene.ends(Ending("cannot read cam: it does not answer"))
    assert scene.source.tried and not scene.source.connected and scene.notes == []
    while len(scene.readings) == 1:
        scene.after(0.25)
    scene.answers(0)
    assert scene.after(0) is not None
    assert scene.notes == ["cam: answers now"]
    assert scene.source.losses.reconnections == 0

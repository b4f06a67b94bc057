"""One live source over several connections: losses, back-off and limits, with a clock that the tests set."""

from __future__ import annotations

from fractions import Fraction

from hyperseg_runtime.live.connection import Ending, Timing
from hyperseg_runtime.live.reconnection import Reconnection
from hyperseg_runtime.video.sources import Selection

from .live_scene import RATE, Scene


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


def test_a_source_that_sends_nothing_is_abandoned() -> None:
    scene = Scene(stall_seconds=5.0)
    scene.after(0)
    scene.answers(0)
    scene.after(0)
    scene.after(6.9)
    assert not scene.readings[0].abandoned
    scene.after(0.3)
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


def test_frames_that_are_left_out_are_no_silence() -> None:
    """With --start none comes for a while, and with --every few."""
    scene = Scene(Selection(start=Fraction(60), every=1000), stall_seconds=5.0)
    scene.after(0)
    scene.answers()
    scene.readings[-1].timing = Timing(RATE / 1000, Fraction(1, 1000))
    scene.after(60 + 100 + 5)
    assert not scene.readings[0].abandoned
    scene.answers(0)
    scene.after(0)
    scene.after(100 + 5)
    assert not scene.readings[0].abandoned
    scene.after(3)
    assert scene.readings[0].abandoned


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

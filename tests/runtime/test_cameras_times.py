"""Times, numbers and sizes of a live source's frames over several connections, with a clock that the tests set."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from hyperseg_runtime.live.connection import Ending
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection

from .live_scene import Scene
from .sounds import Track, write_sound_clip


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

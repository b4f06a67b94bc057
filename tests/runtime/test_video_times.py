"""Times and numbers of frames: jumps of the clock, gaps, repeated times, durations, cuts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Selection, SourceFrame
from hyperseg_runtime.video.timeline import WRAP, TimedFrame, Timeline, spread

from .conftest import Finished
from .numbered import BURST, CLIPS, RATE, Clip, loud_from, number_in, numbers_and_times, write_numbered

Run = Callable[..., Finished]
MP4, TS = CLIPS[0], CLIPS[1]
SILENT_MP4, SILENT_TS = replace(MP4, sound=None), replace(TS, sound=None)
MKV = Clip(".mkv", "mjpeg", pixel_format="yuvj420p", precision=Fraction(1, 1000))


def read(path: Path, selection: Selection | None = None) -> list[SourceFrame]:
    reader = VideoReader(str(path), selection)
    try:
        frames = list(reader.frames())
        assert reader.problems == []
    finally:
        reader.close()
    for frame in frames:
        assert number_in(frame.image) == frame.index
    return frames


def joined(folder: Path, *starts: Fraction, clip: Clip = SILENT_TS, count: int = 20) -> Path:
    """Transport streams with these start times, one after the other in one file."""
    path = folder / f"joined{clip.suffix}"
    parts = [
        write_numbered(folder / f"{n}.ts", clip, count=count, first=start, start_number=n * count)
        for n, start in enumerate(starts)
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
@pytest.mark.parametrize(
    "starts",
    [(0, 0, 0), (0, 7200), (7200, 0), (0, 1), (80_000, 20, 60_000)],
    ids=["repeated", "hours on", "hours back", "a little back", "back and on"],
)
def test_time_goes_on_where_timestamps_jump(tmp_path: Path, starts: tuple[int, ...], suffix: str) -> None:
    clip = SILENT_TS if suffix == ".ts" else replace(CLIPS[5], sound=None)
    path = joined(tmp_path, *map(Fraction, starts), clip=clip)
    frames = read(path)
    count = 20 * len(starts)
    assert [float(frame.time) for frame in frames] == pytest.approx([n / 15 for n in range(count)], abs=1e-4)
    cut = read(path, Selection(Fraction(5, 3), Fraction(7, 3)))  # begins in the second part
    assert [frame.index for frame in cut] == list(range(25, 35))


def test_a_jump_in_the_output(hyperseg_run: Run, tmp_path: Path) -> None:
    path = joined(tmp_path, Fraction(0), Fraction(0))
    assert hyperseg_run(path, "-o", "out.mp4", "--alpha", "0").code == 0
    shown = numbers_and_times(Path("out.mp4"))
    assert [number for number, _ in shown] == list(range(40))
    assert [float(time) for _, time in shown] == pytest.approx([n / 15 for n in range(40)], abs=1e-4)


def test_a_damaged_timestamp_is_no_gap() -> None:
    """In formats without discontinuities; a slide may be held for hours there, but not for days."""
    timeline = Timeline(Fraction(0), Fraction(1), discontinuous=False)
    given = [0, 1, 7200, 7201, 2**31, 7203, 7204]
    assert [timeline.place(Fraction(time), Fraction(0)) for time in given] == [0, 1, 7200, 7201, 7202, 7203, 7204]


@pytest.mark.parametrize("before", [1, 100])
def test_wrapped_timestamps(tmp_path: Path, before: int) -> None:
    """FFmpeg undoes a wrap in the first minute by itself."""
    times = [Fraction(2 * n) for n in range(5 if before == 1 else 60)]
    path = write_numbered(tmp_path / "v.ts", SILENT_TS, count=len(times), times=times, first=WRAP - before)
    assert [float(frame.time) for frame in read(path)] == pytest.approx([float(time) for time in times], abs=1e-3)


@pytest.mark.parametrize("clip", [SILENT_MP4, MKV], ids=str)
def test_slide_show(hyperseg_run: Run, tmp_path: Path, clip: Clip) -> None:
    times = [Fraction(0), Fraction(2), Fraction(5)]
    clip = replace(clip, options={})  # MP4 cannot state it with B-frames
    path = write_numbered(tmp_path / f"v{clip.suffix}", clip, count=3, times=times, last_duration=Fraction(6))
    assert [frame.duration for frame in read(path)] == [2, 3, 6]
    assert hyperseg_run(path, "-o", "out.mp4").code == 0
    with av.open("out.mp4") as container:
        assert container.duration == 11_000_000
        assert [frame.pts * frame.time_base for frame in container.decode(video=0)] == times
    assert [frame.duration for frame in read(path, Selection(end=Fraction(7)))] == [2, 3, 2]
    assert [frame.duration for frame in read(path, Selection(max_frames=2))] == [2, 3]
    assert [frame.duration for frame in read(path, Selection(every=2))] == [5, 6]


@pytest.mark.parametrize("start", ["0.1", "1.5", "2.7", "2.95"])
def test_numbers_with_a_variable_rate(tmp_path: Path, start: str) -> None:
    times = [Fraction(n * n, 500) for n in range(40)]
    path = write_numbered(tmp_path / "v.mp4", SILENT_MP4, count=40, times=times)
    frames = read(path, Selection(start=Fraction(start)))
    assert [frame.index for frame in frames] == [n for n, time in enumerate(times) if time >= Fraction(start)]
    assert [frame.time + Fraction(start) for frame in frames] == times[frames[0].index :]


def test_frames_before_the_start_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered(tmp_path / "v.ts", SILENT_TS, count=100)
    decoded = 0

    def counted(self: Timeline, source_time: Fraction | None, duration: Fraction) -> Fraction:
        nonlocal decoded
        decoded += 1
        return place(self, source_time, duration)

    place = Timeline.place
    monkeypatch.setattr(Timeline, "place", counted)
    assert [frame.index for frame in read(path, Selection(start=Fraction(6)))] == list(range(90, 100))
    assert decoded <= 10 + 3 * 8  # a group of pictures has at most eight here


@pytest.mark.parametrize("shift", [Fraction(-2), Fraction(2), Fraction(1000)])
@pytest.mark.parametrize("clip", [SILENT_MP4, MKV], ids=str)
def test_first_times_that_are_not_0(tmp_path: Path, clip: Clip, shift: Fraction) -> None:
    path = write_numbered(tmp_path / f"v{clip.suffix}", clip, count=50, first=shift)
    with av.open(str(path)) as container:  # MP4 states an empty or a cut beginning, and frames before 0 may be gone
        kept = sum(1 for _ in container.decode(video=0))
    reader = VideoReader(str(path))
    frames = list(reader.frames())
    assert (len(frames), reader.problems) == (kept, [])
    gaps = {round(float(after.time - before.time), 2) for before, after in itertools.pairwise(frames)}
    assert gaps <= {0.06, 0.07}


def test_repeated_times_are_spread(hyperseg_run: Run, tmp_path: Path) -> None:
    times = [Fraction(n - n % 3, 15) for n in range(12)]
    path = write_numbered(tmp_path / "v.mkv", MKV, count=12, times=times)
    expected = [n / 15 for n in range(12)]
    assert [float(frame.time) for frame in read(path)] == pytest.approx(expected, abs=2e-3)
    assert hyperseg_run(path, "-o", "out.mp4", "--alpha", "0").code == 0
    assert [number for number, _ in numbers_and_times(Path("out.mp4"))] == list(range(12))


@pytest.mark.parametrize(
    ("times", "spread_times"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([0, 0, 2, 2, 4], [0, 1, 2, 3, 4]),
        ([0, 2, 1, 4], [0, 2, 3, 4]),
        ([5, 5, 5], [5, 6, 7]),
        ([0] * 40, None),
        ([3, 0, 0, 4], [3, Fraction(10, 3), Fraction(11, 3), 4]),
    ],
)
def test_spread(times: list[int], spread_times: list[Fraction] | None) -> None:
    frame: Any = SimpleNamespace()
    given = spread([TimedFrame(frame, Fraction(time), Fraction(0)) for time in times], Fraction(1))
    placed = [item.time for item in given]
    assert len(placed) == len(times)
    assert all(after > before for before, after in itertools.pairwise(placed))
    if spread_times is not None:
        assert placed == spread_times


class Collector:
    """Takes sound as the writer does, and keeps the packets' output times."""

    def __init__(self, reader: VideoReader) -> None:
        self.streams = list(reader._container.streams.audio)
        self.times: list[Fraction] = []

    def takes(self, packet: Any, origin: Fraction) -> bool:
        if packet.stream.type == "audio" and packet.pts is not None:
            self.times.append(packet.pts * packet.time_base - origin)
        return packet.stream.type == "audio"

    def read_until(self, end: Fraction, packets: Iterator[Any], origin: Fraction) -> None:
        for packet in packets:
            if self.takes(packet, origin) and packet.pts is not None and packet.pts * packet.time_base > end:
                return

    def clear(self) -> None:
        self.times.clear()


@pytest.mark.parametrize("starts", [(0, 0), (0, 7200), (7200, 0)], ids=["repeated", "hours on", "hours back"])
@pytest.mark.parametrize("selection", [Selection(), Selection(start=Fraction(2)), Selection(end=Fraction(2))], ids=str)
def test_sound_follows_the_jumps(tmp_path: Path, starts: tuple[int, ...], selection: Selection) -> None:
    path = joined(tmp_path, *map(Fraction, starts), clip=TS, count=30)
    reader = VideoReader(str(path), selection)
    reader._sound = collector = Collector(reader)
    frames = list(reader.frames())
    end = float(frames[-1].time + frames[-1].duration)
    kept = [time for time in collector.times if time >= 0]
    gaps = [float(after - before) for before, after in itertools.pairwise(kept)]
    assert float(kept[0]) < 0.1
    assert float(kept[-1]) > end - 0.15
    assert min(gaps) > 0
    assert max(gaps) < 0.1  # a packet of MP2 lasts 24 ms; the parts' sound is a little longer than their images


def test_sound_of_joined_streams(hyperseg_run: Run, tmp_path: Path) -> None:
    """Each part becomes loud at BURST: the second one is heard there after a cut into it."""
    path = joined(tmp_path, Fraction(7200), Fraction(0), clip=TS, count=40)
    begins = Fraction(40) / RATE
    for options, expected in (([], BURST), (["--start", "2.8"], begins + BURST - Fraction("2.8"))):
        assert hyperseg_run(path, "-o", "out.mp4", "--force", *options).code == 0
        assert float(loud_from(Path("out.mp4"))) == pytest.approx(float(expected), abs=0.07)

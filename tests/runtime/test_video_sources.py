"""Where videos come from and how they end: odd names, pipes, damaged and truncated files, interruption."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.video.location import ffmpeg_name
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Selection

from .conftest import ENVIRONMENT, Finished
from .numbered import CLIPS, Clip, number_in, numbers_and_times, write_numbered

Run = Callable[..., Finished]
MP4, TS = CLIPS[0], CLIPS[1]
NAMES = ["12:30:00.mp4", "a%20b.mp4", "%d.mp4", "q?x=1.mp4", "[1]*.mp4", "-dash.mp4", "line\nend.mp4", "http:x.mp4"]


def numbers(source: str | Path, selection: Selection | None = None) -> list[int]:
    reader = VideoReader(str(source), selection)
    try:
        return [number_in(frame.image) for frame in reader.frames()]
    finally:
        reader.close()


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xff\xfe.mp4")], ids=ascii)
def test_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_numbered(tmp_path / "v.mp4", MP4, count=3).rename(name)
    assert numbers(name) == [0, 1, 2]
    assert numbers(name, Selection(start=Fraction(1, 10))) == [2]


def test_urls_are_left_alone() -> None:
    assert ffmpeg_name("rtsp://host/a?b") == "rtsp://host/a?b"
    assert ffmpeg_name(Path("/a b")) == "file:/a b"


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_run_with_sound_on_an_odd_name(
    hyperseg_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_numbered(tmp_path / "v.mp4", MP4, count=3).rename(name)
    assert hyperseg_run(name, "-o", "out.mp4", "--alpha", "0").code == 0
    assert [number for number, _ in numbers_and_times(Path("out.mp4"))] == [0, 1, 2]


def feed(fifo: Path, content: bytes, pause: float = 0, keep_open: threading.Event | None = None) -> threading.Thread:
    """Writes `content` into a FIFO from a thread, in pieces."""

    def write() -> None:
        with fifo.open("wb") as file:
            try:
                for begin in range(0, len(content), 5000):
                    file.write(content[begin : begin + 5000])
                    file.flush()
                    time.sleep(pause)
                if keep_open is not None:
                    keep_open.wait(30)
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("selection", [Selection(), Selection(start=Fraction(1), end=Fraction(2))], ids=["all", "cut"])
@pytest.mark.parametrize("clip", [replace(TS, sound=None), replace(CLIPS[4], sound=None)], ids=str)
def test_a_fifo(tmp_path: Path, clip: Clip, selection: Selection) -> None:
    content = write_numbered(tmp_path / f"v{clip.suffix}", clip).read_bytes()
    os.mkfifo(tmp_path / "fifo")
    writer = feed(tmp_path / "fifo", content, pause=0.01)
    expected = list(range(40)) if selection.whole else list(range(15, 30))
    assert numbers(tmp_path / "fifo", selection) == expected
    writer.join(10)


def test_a_fifo_whose_writer_is_killed(tmp_path: Path) -> None:
    content = write_numbered(tmp_path / "v.ts", replace(TS, sound=None)).read_bytes()
    os.mkfifo(tmp_path / "fifo")
    feed(tmp_path / "fifo", content[: len(content) // 2])
    assert 5 < len(numbers(tmp_path / "fifo")) < 40


def test_a_silent_fifo_ends_when_asked(tmp_path: Path) -> None:
    """Without a writer, and with one that sends nothing more."""
    os.mkfifo(tmp_path / "fifo")
    asked = threading.Event()
    threading.Timer(0.2, asked.set).start()
    with pytest.raises(InputError, match="interrupted before the first frame"):
        VideoReader(str(tmp_path / "fifo"), stop_asked=asked.is_set)
    content = write_numbered(tmp_path / "v.ts", replace(TS, sound=None), count=200).read_bytes()
    feed(tmp_path / "fifo", content, keep_open=threading.Event())
    reader = VideoReader(str(tmp_path / "fifo"))
    threading.Timer(0.5, reader.stop).start()
    assert len(list(reader.frames())) > 100
    reader.close()


def test_standard_input(tmp_path: Path) -> None:
    ts = write_numbered(tmp_path / "v.ts", replace(TS, sound=None), count=20)
    mp4 = write_numbered(tmp_path / "v.mp4", replace(CLIPS[12], sound=None), count=100)
    script = (
        "from hyperseg_runtime.video.reader import VideoReader\n"
        "reader = VideoReader('-')\n"
        "print(reader.stem, reader.name, sum(1 for _ in reader.frames()))\n"
    )

    def run(**how: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, check=False, timeout=60, **how
        )

    assert run(input=ts.read_bytes()).stdout.split() == [b"stdin", b"standard", b"input", b"20"]
    with mp4.open("rb") as file:  # a file, which can be read in any order
        assert run(stdin=file).stdout.split()[-1] == b"100"
    assert b"faststart" in run(input=mp4.read_bytes()).stderr
    assert b"not a video" in run(input=b"").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_a_pipe_is_silent(model: Path, tmp_path: Path, number: int) -> None:
    """What was done is kept, in a file that plays."""
    content = write_numbered(tmp_path / "v.ts", replace(TS, sound=None), count=200).read_bytes()
    os.mkfifo(tmp_path / "fifo")
    feed(tmp_path / "fifo", content, keep_open=threading.Event())
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", "fifo", "-o", "out.mp4", "--model", str(model)]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    before, now = -1, 0
    while (now == 0 or now > before) and time.monotonic() < deadline:  # until it has done all that came
        time.sleep(0.3)
        before, now = now, sum(part.stat().st_size for part in tmp_path.glob(".*.part"))
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert len(numbers_and_times(tmp_path / "out.mp4")) > 0
    assert not list(tmp_path.glob(".*.part"))


def damaged(path: Path, begin: float, share: float, seed: int = 1) -> Path:
    """Random bytes over a share of the file."""
    content = bytearray(path.read_bytes())
    first, count = int(len(content) * begin), max(1, int(len(content) * share))
    content[first : first + count] = random.Random(seed).randbytes(count)
    path.write_bytes(content)
    return path


def problems(path: Path, selection: Selection | None = None) -> str:
    reader = VideoReader(str(path), selection)
    assert 0 < sum(1 for _ in reader.frames()) <= 40
    reader.close()
    return "\n".join(reader.problems)


@pytest.mark.parametrize("number", [0, 2, 10, 13, 29, 1], ids=lambda number: str(CLIPS[number]))
def test_damage_in_the_middle_is_no_truncation(tmp_path: Path, number: int) -> None:
    clip = CLIPS[number]
    said = problems(damaged(write_numbered(tmp_path / f"v{clip.suffix}", clip), 0.5, 0.05))
    assert "is damaged" in said
    assert "truncated" not in said


def test_a_beginning_in_an_open_group_is_no_damage(tmp_path: Path) -> None:
    """As cut by tools that copy packets: images before the first keyframe refer to ones that are gone."""
    if int(av.__version__.split(".")[0]) < 15:
        pytest.skip("PyAV 14 does not copy HEVC packets from Matroska to MP4 intact")
    source = write_numbered(tmp_path / "v.mkv", replace(CLIPS[4], sound=None))
    with av.open(str(source)) as whole, av.open(str(tmp_path / "cut.mp4"), "w") as cut:
        stream = cut.add_stream_from_template(whole.streams.video[0])
        begun = 0
        for packet in whole.demux(video=0):
            begun += packet.is_keyframe
            if begun > 2 and packet.dts is not None:
                packet.stream = stream
                cut.mux(packet)
    reader = VideoReader(str(tmp_path / "cut.mp4"))
    shown = [number_in(frame.image) for frame in reader.frames()]
    assert shown == list(range(shown[0], 40))
    assert shown[0] > 2
    assert reader.problems == []


@pytest.mark.parametrize("number", [2, 4, 6, 20, 40], ids=lambda number: str(CLIPS[number]))
def test_a_missing_end_is_no_damage(tmp_path: Path, number: int) -> None:
    clip = CLIPS[number]
    path = write_numbered(tmp_path / f"v{clip.suffix}", clip)
    assert problems(path) == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    for selection in (Selection(), Selection(start=Fraction(1), every=2)):
        said = problems(path, selection)
        assert "is truncated" in said
        assert "damaged" not in said
    assert problems(path, Selection(end=Fraction(1))) == "", "that part is complete"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clip], Path]:
    folder = tmp_path_factory.mktemp("originals")

    def written(clip: Clip) -> Path:
        path = folder / f"{clip}{clip.suffix}"
        return path if path.exists() else write_numbered(path, clip, count=30)

    return written


FUZZED = [
    pytest.param(number, id=str(clip), marks=[] if number in (0, 1, 2, 4) else [pytest.mark.exhaustive])
    for number, clip in enumerate(CLIPS)
]


def variants(content: bytes, seed: int) -> Iterator[bytes]:
    """Truncations, bit flips, zeroed, moved and repeated parts."""
    chance = random.Random(seed)
    for share in (0.02, 0.3, 0.9):
        yield content[: int(len(content) * share)]
    for flips in (1, 20, 200):
        flipped = bytearray(content)
        for _ in range(flips):
            flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
    for place in (0, len(content) // 40, len(content) // 2):
        yield content[:place] + bytes(len(content) // 20) + content[place + len(content) // 20 :]
    yield content[len(content) // 3 :]
    yield content[: len(content) // 2] * 2


@pytest.mark.parametrize("number", FUZZED)
def test_damaged_files_end_in_frames_or_one_line(
    tmp_path: Path, originals: Callable[[Clip], Path], number: int
) -> None:
    clip = CLIPS[number]
    path = tmp_path / f"v{clip.suffix}"
    for content in variants(originals(clip).read_bytes(), number):
        path.write_bytes(content)
        for selection in (Selection(), Selection(start=Fraction(1), every=2)):
            try:
                reader = VideoReader(str(path), selection)
            except InputError as error:
                assert "\n" not in str(error)
                continue
            try:
                times = [frame.time for frame in reader.frames()]
                assert times == sorted(set(times))
            except InputError as error:
                assert "\n" not in str(error)
            finally:
                reader.close()


@pytest.mark.parametrize("number", [0, 1, pytest.param(4, marks=pytest.mark.exhaustive)])
def test_runs_on_damaged_files(
    hyperseg_run: Run, tmp_path: Path, originals: Callable[[Clip], Path], number: int
) -> None:
    clip = CLIPS[number]
    path = tmp_path / f"v{clip.suffix}"
    for content in variants(originals(clip).read_bytes(), number):
        path.write_bytes(content)
        done = hyperseg_run(path, "-o", "out.mp4", "--force")
        assert "bug" not in done.err
        assert "should not happen" not in done.err
        lines = done.err.splitlines()
        assert all(line.startswith(("hyperseg-run: error: ", "hyperseg-run: note: ")) for line in lines), done
        assert any("error: " in line for line in lines) == (done.code == 1), done
        assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    "selection",
    [{"start": -1}, {"start": "1"}, {"start": float("nan")}, {"end": -1}, {"end": float("inf")}, {"every": 0},
     {"every": None}, {"every": 1.5}, {"max_frames": 0}, {"max_frames": -3}],
)  # fmt: skip
def test_a_selection_without_sense_is_refused(selection: dict[str, object]) -> None:
    (name,) = selection
    with pytest.raises(InputError, match=f"{name} is"):
        Selection(**selection)  # type: ignore[arg-type]

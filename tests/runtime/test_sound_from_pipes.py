"""Sound of FIFOs and standard input, which can be read only once; nothing hangs, whatever the writer does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from hyperseg_runtime.video.sources import Selection

from .clips import frame_times
from .conftest import ENVIRONMENT
from .sounds import BURST, Track, frame_numbers, heard, write_sound_clip
from .test_sound import carried

Feed = Callable[[int], None]
LIMIT_SECONDS = 60
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


@contextmanager
def fifo(path: Path, feed: Feed) -> Iterator[Path]:
    """A FIFO that a thread writes to; `feed` takes its descriptor."""
    os.mkfifo(path)

    def write() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            feed(descriptor)
        except BrokenPipeError:
            pass  # the reader has enough
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield path
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()


def all_of(content: bytes) -> Feed:
    def feed(descriptor: int) -> None:
        for begin in range(0, len(content), 4096):
            os.write(descriptor, content[begin : begin + 4096])

    return feed


def _clip(folder: Path, container: str) -> Path:
    codec = {"webm": "libopus", "ts": "mp2", "flv": "libmp3lame"}.get(container, "aac")
    options = FRAGMENTED if container == "mp4" else None
    return write_sound_clip(folder / f"clip.{container}", Track(codec), options=options)


@pytest.mark.parametrize(
    "container", ["mp4", "ts", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("mkv", "webm", "flv"))]
)
@pytest.mark.parametrize("cut", ["whole", "end", "first"])
def test_a_fifo_gives_what_the_file_gives(tmp_path: Path, container: str, cut: str) -> None:
    clip = _clip(tmp_path, container)
    selection = {
        "whole": Selection(),
        "end": Selection(end=Fraction(31, 20)),
        "first": Selection(max_frames=12),
    }[cut]
    assert carried(clip, tmp_path / "file.mp4", selection) == []
    with fifo(tmp_path / f"fifo.{container}", all_of(clip.read_bytes())) as pipe:
        assert carried(pipe, tmp_path / "fifo.mp4", selection) == []
    assert heard(tmp_path / "fifo.mp4") == heard(tmp_path / "file.mp4")
    assert frame_numbers(tmp_path / "fifo.mp4") == frame_numbers(tmp_path / "file.mp4")


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_writer_that_goes_away(tmp_path: Path, share: float) -> None:
    clip = _clip(tmp_path, "ts")
    content = clip.read_bytes()
    with fifo(tmp_path / "fifo.ts", all_of(content[: int(len(content) * share)])) as pipe:
        carried(pipe, tmp_path / "out.mp4")
    assert 0 < len(frame_numbers(tmp_path / "out.mp4")) < 20
    assert heard(tmp_path / "out.mp4") is not None


def test_sound_that_ends_early(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "clip.ts", Track("mp2", end=Fraction(9, 10)))
    with fifo(tmp_path / "fifo.ts", all_of(clip.read_bytes())) as pipe:
        assert carried(pipe, tmp_path / "out.mp4") == []
    assert len(frame_numbers(tmp_path / "out.mp4")) == 20
    sound = heard(tmp_path / "out.mp4")
    assert sound is not None and sound.onset is not None


def test_a_writer_that_falls_silent_after_the_last_wanted_frame(tmp_path: Path) -> None:
    """Sound of that time may still come, so the reader waits, but not for ever."""
    content = write_sound_clip(tmp_path / "clip.mkv", Track("flac", end=Fraction(5)), count=50).read_bytes()
    done, given_up = threading.Event(), threading.Event()

    def feed(descriptor: int) -> None:
        all_of(content[: len(content) * 4 // 5])(descriptor)
        if not done.wait(LIMIT_SECONDS):
            given_up.set()

    with fifo(tmp_path / "fifo.mkv", feed) as pipe:
        carried(pipe, tmp_path / "out.mp4", Selection(max_frames=2))
        done.set()
    assert not given_up.is_set()
    assert len(frame_times(tmp_path / "out.mp4")) == 2


def test_standard_input(tmp_path: Path) -> None:
    clip = _clip(tmp_path, "mkv")
    with fifo(tmp_path / "fifo.mkv", all_of(clip.read_bytes())) as pipe:
        command = [sys.executable, "-c", _CARRY, "-", "piped.mp4"]
        with pipe.open("rb") as stream:
            subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, stdin=stream, check=True, timeout=LIMIT_SECONDS)
    with clip.open("rb") as stream:
        command = [sys.executable, "-c", _CARRY, "-", "redirected.mp4"]
        subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, stdin=stream, check=True, timeout=LIMIT_SECONDS)
    for name in ("piped.mp4", "redirected.mp4"):
        assert len(frame_times(tmp_path / name)) == 20
        sound = heard(tmp_path / name)
        assert sound is not None
        assert sound.onset == pytest.approx(float(BURST), abs=sound.frame + 0.002)


_CARRY = """
import sys
from pathlib import Path
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.writer import VideoWriter

reader = VideoReader(sys.argv[1])
sound, writer = reader.sound(), None
for frame in reader.frames():
    if writer is None:
        writer = VideoWriter(Path(sys.argv[2]), frame.size, reader.rate, reader.time_base, sound=sound)
    writer.write(frame.image, frame.time)
writer.close()
"""


def test_a_fifo_through_the_command(model: Path, tmp_path: Path) -> None:
    """The whole program, where the file was opened twice once."""
    clip = _clip(tmp_path, "ts")
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", "fifo.ts", "-o", "out.mp4", "--model", str(model)]
    with fifo(tmp_path / "fifo.ts", all_of(clip.read_bytes())):
        done = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(frame_times(tmp_path / "out.mp4")) == 20
    assert heard(tmp_path / "out.mp4") is not None

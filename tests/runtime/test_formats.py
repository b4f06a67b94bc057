"""Formats of the output: WebM and animated GIF besides MP4, MOV and Matroska."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.video.formats import FORMATS
from hyperseg_runtime.video.gif import TIME_BASE, GifFrames
from hyperseg_runtime.video.writer import VideoWriter

from .clips import frame_times, images, write_clip
from .conftest import Finished
from .sounds import Track, heard, write_sound_clip

Run = Callable[..., Finished]


@pytest.mark.parametrize(
    ("suffix", "video", "sound"),
    [
        (".mp4", "h264", "aac"),
        (".mov", "h264", "aac"),
        (".mkv", "h264", "aac"),
        (".webm", "vp9", "opus"),
        (".gif", "gif", None),
    ],
)
def test_codecs_and_frames(hyperseg_run: Run, tmp_path: Path, suffix: str, video: str, sound: str | None) -> None:
    clip = write_sound_clip(tmp_path / "clip.mp4", Track("aac"), count=12)
    done = hyperseg_run(clip, "-o", f"out{suffix}")
    assert done.code == 0, done
    with av.open(f"out{suffix}") as container:
        assert container.streams.video[0].codec_context.name == video
    assert frame_times(Path(f"out{suffix}")) == frame_times(clip)
    found = heard(Path(f"out{suffix}"))
    assert (found and found.codec.replace("lib", "")) == sound
    lines = [] if sound else ["hyperseg-run: note: out.gif: no sound: gif files have none"]
    assert done.err.splitlines() == lines
    assert not list(tmp_path.glob(".*part*"))


@pytest.mark.parametrize("size", [(33, 47), (1, 1), (90, 320)], ids=["odd", "1x1", "wide"])
@pytest.mark.parametrize("suffix", [".webm", ".gif"])
def test_sizes_and_images(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    out, shown = tmp_path / f"out{suffix}", images(3, size)
    _write(out, shown, [Fraction(number, 10) for number in range(3)])
    even = suffix == ".webm"
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == 3
    for before, after in zip(shown, frames, strict=True):
        assert after.shape[:2] == (size[0] + size[0] % 2 * even, size[1] + size[1] % 2 * even)
        # Chroma is subsampled in WebM, colours are few in GIF.
        assert np.abs(before.astype(int) - after[: size[0], : size[1]]).mean() < 12


def _write(out: Path, shown: list[np.ndarray], times: list[Fraction], rate: Fraction = Fraction(10)) -> None:
    writer = VideoWriter(out, (shown[0].shape[0], shown[0].shape[1]), rate, Fraction(1, 90_000))
    for image, time in zip(shown, times, strict=True):
        writer.write(image, time)
    writer.close()


@pytest.mark.parametrize("rate", [Fraction(30_000, 1001), Fraction(24), Fraction(60), Fraction(1000), Fraction(7)])
def test_gif_times_do_not_drift(tmp_path: Path, rate: Fraction) -> None:
    """After 100 frames each one is still within the rounding of its own time, and none is shown too shortly."""
    times = [number / rate for number in range(100)]
    frames = GifFrames((4, 6))
    image = np.zeros((4, 6, 3), np.uint8)
    shown = [(number, frame.pts) for number, time in enumerate(times) for frame in frames.frames(image, time)]
    for number, pts in shown:
        assert pts is not None
        assert abs(pts * TIME_BASE - times[number]) <= TIME_BASE / 2
    delays = np.diff([pts for _, pts in shown])
    assert delays.min() >= 2
    if rate <= 50:
        assert len(shown) == 100
    else:
        assert len(shown) >= 0.6 * 50 * float(times[-1])


def test_gif_file_has_these_times(tmp_path: Path) -> None:
    times = [Fraction(value, 1000) for value in (0, 40, 204, 236, 900, 905, 1033, 2000)]
    _write(tmp_path / "out.gif", images(8, (20, 30)), times)
    wanted = [Fraction(value, 100) for value in (0, 4, 20, 24, 90, 103, 200)]  # 905 ms is too near to 900
    assert frame_times(tmp_path / "out.gif") == wanted


def test_gif_image_that_is_held_longer_than_a_delay_can_say(tmp_path: Path) -> None:
    """A delay has 16 bits: at most 655 s."""
    _write(tmp_path / "out.gif", images(2, (20, 30)), [Fraction(0), Fraction(2000)])
    assert frame_times(tmp_path / "out.gif") == [0, 600, 1200, 1800, 2000]


def test_gif_has_a_palette_for_each_frame(tmp_path: Path) -> None:
    """A hue that appears late keeps its colour."""
    shown = [np.full((20, 30, 3), colour, np.uint8) for colour in ((200, 30, 40), (20, 180, 90), (10, 20, 230))]
    _write(tmp_path / "out.gif", shown, [Fraction(0), Fraction(1), Fraction(2)])
    with av.open(str(tmp_path / "out.gif")) as container:
        for before, frame in zip(shown, container.decode(video=0), strict=True):
            assert np.abs(before.astype(int) - frame.to_ndarray(format="bgr24")).max() <= 2


@pytest.mark.parametrize("suffix", [".webm", ".gif"])
def test_opencv_reads_them(tmp_path: Path, suffix: str) -> None:
    _write(tmp_path / f"out{suffix}", images(4, (32, 48)), [Fraction(number, 10) for number in range(4)])
    capture = cv2.VideoCapture(str(tmp_path / f"out{suffix}"))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 4


@pytest.mark.parametrize("suffix", FORMATS)
def test_without_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setitem(FORMATS, suffix, replace(FORMATS[suffix], video_encoders={"libx0": {}}))  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="without the encoder libx0; pip install av"):
        VideoWriter(tmp_path / f"out{suffix}", (64, 96), Fraction(10), Fraction(1, 1000))
    assert not list(tmp_path.iterdir())


def test_vp8_where_there_is_no_vp9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    webm = FORMATS[".webm"]
    encoders = {"libx0": {}, "libvpx": webm.video_encoders["libvpx"]}
    monkeypatch.setitem(FORMATS, ".webm", replace(webm, video_encoders=encoders))  # type: ignore[arg-type]
    _write(tmp_path / "out.webm", images(3, (64, 96)), [Fraction(number, 10) for number in range(3)])
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.video[0].codec_context.name == "vp8"
    assert len(frame_times(tmp_path / "out.webm")) == 3


def test_variable_frame_rate_in_webm(hyperseg_run: Run, tmp_path: Path) -> None:
    times = [Fraction(value, 1000) for value in (0, 40, 200, 230, 900, 1000, 1033, 2000)]
    clip = write_clip(tmp_path / "clip.mp4", times=times)
    assert hyperseg_run(clip, "-o", "out.webm").code == 0
    assert frame_times(Path("out.webm")) == times

"""hyperseg-run on videos: frames, times and sound of the input are kept, and the labels are right."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_runtime.video.reader import VideoReader

from .clips import frame_times, write_clip
from .conftest import ENVIRONMENT, Finished
from .png import read_indices

Run = Callable[..., Finished]


def sound_digest(path: Path) -> str:
    """SHA-256 of the compressed sound."""
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            digest.update(bytes(packet))
    return digest.hexdigest()


def duration(path: Path) -> float:
    with av.open(str(path)) as container:
        assert container.duration is not None
        return container.duration / 1e6


@pytest.mark.parametrize("style", ["overlay", "side-by-side", "mask", "contour"])
def test_output_is_a_browser_video_with_the_inputs_frames(hyperseg_run: Run, tmp_path: Path, style: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=12)
    done = hyperseg_run(clip, "--style", style, "--legend")
    assert done.code == 0, done
    result = tmp_path / "clip.segmented.mp4"
    with av.open(str(result)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", 12)
        assert (stream.height, stream.width) == (64, 192 if style == "side-by-side" else 96)
    assert frame_times(result) == frame_times(clip)
    assert duration(result) == pytest.approx(duration(clip), abs=0.05)
    capture = cv2.VideoCapture(str(result))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 12
    head = result.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat"), "a browser could not start before the download ends"
    assert not list(tmp_path.glob(".*part*"))


def test_labels_and_statistics(hyperseg_run: Run, segmenter: Segmenter, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", size=(48, 80))
    done = hyperseg_run(clip, "--labels", "labels", "--stats", "shares.jsonl", "--json")
    assert done.code == 0, done
    rows = [json.loads(line) for line in Path("shares.jsonl").read_text().splitlines()]
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            image = frame.to_ndarray(format="bgr24", interpolation="BICUBIC")
            labels, _ = read_indices(Path(f"labels/clip_{number:06d}.png"))
            assert labels.dtype == np.uint8
            np.testing.assert_array_equal(labels, segmenter(image))
            assert rows[number]["shares"]["road"] == pytest.approx((labels == 3).mean(), abs=1e-6)
            assert sum(rows[number]["shares"].values()) == pytest.approx(1, abs=1e-4)
    report = json.loads(done.out)
    assert report["runs"][0]["frames"] == len(rows) == 8
    assert set(report["runs"][0]["stages"]) == {"decode", "preprocess", "inference", "postprocess", "encode"}


@pytest.mark.parametrize(("codec", "copied"), [("aac", True), ("libmp3lame", True), ("pcm_s16le", False)])
def test_sound_is_kept(hyperseg_run: Run, tmp_path: Path, codec: str, copied: bool) -> None:
    clip = write_clip(tmp_path / "clip.mkv", count=20, sound=codec)
    assert hyperseg_run(clip, "-o", "out.mp4").code == 0
    with av.open("out.mp4") as container:
        assert len(container.streams.audio) == 1
    if copied:
        assert sound_digest(Path("out.mp4")) == sound_digest(clip)
    assert duration(Path("out.mp4")) == pytest.approx(duration(clip), abs=0.1)


def test_ffmpeg_reports_nothing_through_python(tmp_path: Path) -> None:
    """Its threads would wait for the interpreter, and closing the decoder would wait for them."""
    av.logging.set_level(av.logging.PANIC)
    VideoReader(str(write_clip(tmp_path / "clip.mp4", count=2))).close()
    assert av.logging.get_level() is None


def test_a_cut_takes_images_and_sound_of_the_same_time(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=40, sound="aac")
    assert hyperseg_run(clip, "-o", "out.mp4", "--start", "1", "--end", "0:03", "--every", "2").code == 0
    assert frame_times(Path("out.mp4")) == [Fraction(number, 5) for number in range(10)]
    with av.open("out.mp4") as container:
        sound = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.pts is not None]
    assert -0.07 <= sound[0] <= 0.07  # one AAC packet of 16 kHz lasts 64 ms
    assert 1.9 <= sound[-1] <= 2.0


def test_variable_frame_rate_is_kept(hyperseg_run: Run, tmp_path: Path) -> None:
    times = [Fraction(value, 1000) for value in (0, 40, 200, 230, 900, 1000, 1033, 2000)]
    clip = write_clip(tmp_path / "clip.mp4", times=times)
    assert hyperseg_run(clip, "-o", "out.mp4").code == 0
    assert frame_times(Path("out.mp4")) == times


@pytest.mark.parametrize(
    ("size", "codec", "pixel_format", "suffix"),
    [
        ((1, 1), "ffv1", "bgr0", ".mkv"),
        ((33, 47), "ffv1", "yuv444p", ".mkv"),
        ((320, 90), "libx264", "yuv420p", ".mp4"),
        ((64, 96), "ffv1", "gray", ".mkv"),
        ((64, 96), "ffv1", "bgra", ".mkv"),
        ((64, 96), "libx264", "yuv420p10le", ".mp4"),
        ((64, 96), "ffv1", "yuva444p", ".mkv"),
        pytest.param((4320, 7680), "libx264", "yuv420p", ".mp4", marks=pytest.mark.slow),
    ],
    ids=["1x1", "odd", "portrait", "grey", "alpha", "10-bit", "yuv-alpha", "8K"],
)
def test_every_kind_of_frame(
    hyperseg_run: Run, tmp_path: Path, size: tuple[int, int], codec: str, pixel_format: str, suffix: str
) -> None:
    clip = write_clip(tmp_path / f"clip{suffix}", count=2, size=size, codec=codec, pixel_format=pixel_format)
    done = hyperseg_run(clip, "-o", "out.mp4")
    assert done.code == 0, done
    with av.open("out.mp4") as container:
        stream = container.streams.video[0]
        assert stream.frames == 2
        assert (stream.height, stream.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_videos_come_out_upright(tmp_path: Path, rotation: int) -> None:
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write rotation; reading it is tested with a newer one")
    clip = write_clip(tmp_path / "clip.mp4", rotation=rotation)
    capture = cv2.VideoCapture(str(clip))  # turns frames upright by itself
    for frame in VideoReader(str(clip)).frames():
        upright = capture.read()[1]
        assert frame.image.shape == upright.shape
        assert np.abs(frame.image.astype(int) - upright).mean() < 1


def _written(folder: Path) -> int:
    """Bytes of the unfinished output that have reached the disk."""
    return sum(part.stat().st_size for part in folder.glob(".*.part"))


def test_ctrl_c_closes_the_output_properly(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=400, size=(180, 320), sound="aac")
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", str(clip), "-o", "out.mp4", "--model", str(model)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while (
        not _written(tmp_path) and time.monotonic() < deadline
    ):  # not a pause: fast machines are through in half a second
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted" in out
    times = frame_times(tmp_path / "out.mp4")
    assert 0 < len(times) < 400
    assert duration(tmp_path / "out.mp4") == pytest.approx(float(times[-1]), abs=0.3)


@pytest.mark.parametrize("name", ["OUT.MP4", "x" * 251 + ".mp4"], ids=["capitals", "255 bytes"])
def test_any_name_of_an_output(hyperseg_run: Run, tmp_path: Path, name: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    done = hyperseg_run(clip, "-o", name)
    assert done.code == 0, done
    assert frame_times(tmp_path / name) == frame_times(clip)


def test_real_driving_video(hyperseg_run: Run, drive: Path, tmp_path: Path) -> None:
    assert hyperseg_run(drive, "-o", "out.mp4").code == 0
    assert frame_times(Path("out.mp4")) == frame_times(drive)
    assert duration(Path("out.mp4")) == pytest.approx(duration(drive), abs=0.01)


def test_start_up_is_quick(model: Path, tmp_path: Path) -> None:
    """Under 3 s from command to first frame, in processor time, since the machine may be busy."""
    clip = write_clip(tmp_path / "clip.mp4", count=1)
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", str(clip), "--model", str(model)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


def test_closing_the_window_ends_the_run_and_keeps_the_video(
    hyperseg_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV's windows are mocked: most test machines have the headless OpenCV."""
    shown: list[tuple[int, ...]] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "GUI: GTK3")
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 3 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    clip = write_clip(tmp_path / "clip.mp4", count=12)
    done = hyperseg_run(clip, "-o", "out.mp4", "--show")
    assert done.code == 0, done
    assert shown == [(64, 96, 3)] * 3
    assert len(frame_times(Path("out.mp4"))) == 3

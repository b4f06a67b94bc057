"""hyperseg-run on bad inputs and failing outputs: one-line errors, finished output kept, no partial files."""

from __future__ import annotations

import functools
import http.server
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.run import run

from .clips import frame_times, write_clip
from .conftest import ENVIRONMENT, Finished

Run = Callable[..., Finished]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*part*")]


def test_missing_empty_and_foreign_files(hyperseg_run: Run, tmp_path: Path) -> None:
    hyperseg_run("missing.mp4").failed_with("missing.mp4 does not exist")
    Path("empty.mp4").touch()
    hyperseg_run("empty.mp4").failed_with("empty.mp4 is empty")
    Path("text.mp4").write_text("hello")
    hyperseg_run("text.mp4").failed_with("cannot read text.mp4")
    hyperseg_run("no*.mp4").failed_with("no image and no video matches")
    Path("nothing").mkdir()
    hyperseg_run("nothing").failed_with("has no image and no video")
    assert not list(tmp_path.glob("*segmented*"))


def test_a_misspelt_input_is_proposed(hyperseg_run: Run) -> None:
    Path("videos").mkdir()
    (Path("videos") / "street.mp4").touch()
    hyperseg_run("videos/stret.mp4").failed_with("videos/stret.mp4 does not exist", "did you mean videos/street.mp4?")
    hyperseg_run("video/street.mp4").failed_with("does not exist", "-o")
    hyperseg_run("vidoes").failed_with("did you mean videos?")
    hyperseg_run("videos\0").failed_with("does not exist")
    hyperseg_run("").failed_with("'' does not exist", "-o")


def test_a_misspelt_place_of_the_legend_is_no_input(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    for place in ("bottomright", "Top-Left", "top_right", "bottom"):
        done = hyperseg_run(clip, "--legend", place, "-o", "o.mp4")
        assert done.code == 2 and len(done.err.splitlines()) == 1
        assert place in done.err and "the places are top-left" in done.err
    Path("bottomright").mkdir()
    hyperseg_run("--legend", "bottomright").failed_with("has no image and no video")


def test_sound_without_images(hyperseg_run: Run) -> None:
    with av.open("sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    hyperseg_run("sound.mp4").failed_with("no video in it")


def test_truncated_before_the_index(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")  # the index (moov) is at the end
    Path("cut.mp4").write_bytes(clip.read_bytes()[:-200])
    hyperseg_run("cut.mp4").failed_with("cannot read cut.mp4", "truncated")


def test_truncated_after_the_index_keeps_what_was_there(hyperseg_run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", count=60)
    hyperseg_run("clip.mp4", "-o", "indexed.mp4")  # our own output has its index in front
    content = Path("indexed.mp4").read_bytes()
    Path("cut.mp4").write_bytes(content[: content.index(b"mdat") + (len(content) - content.index(b"mdat")) * 2 // 3])
    done = hyperseg_run("cut.mp4", "-o", "out.mp4")
    done.failed_with("cut.mp4", "kept")
    assert 10 < len(frame_times(Path("out.mp4"))) < 60


def test_no_frames(hyperseg_run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mkv", count=3)
    hyperseg_run("clip.mkv", "--start", "100").failed_with("no frame")
    with av.open("none.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        container.start_encoding()
    hyperseg_run("none.mkv").failed_with("none.mkv")
    assert not list(tmp_path.glob("*segmented*"))


def test_output_paths(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    content = clip.read_bytes()
    hyperseg_run(clip, "-o", clip, "--force").failed_with("the input itself")
    Path("link.mp4").symlink_to(clip)
    hyperseg_run(clip, "-o", "link.mp4", "--force").failed_with("the input itself")
    hyperseg_run(clip, "-o", "missing/out.mp4").failed_with("missing does not exist")
    hyperseg_run(clip, "-o", "out.ogv").failed_with("out.ogv", ".mp4", ".webm", ".gif")
    hyperseg_run(clip, "--labels", clip).failed_with("is a file, not a folder")
    hyperseg_run(clip, "--stats", "shares.txt").failed_with("shares.txt", ".csv")
    hyperseg_run(clip, "--stats", tmp_path / "missing" / "s.csv").failed_with("missing does not exist")
    hyperseg_run(clip, clip).failed_with("two inputs")
    assert clip.read_bytes() == content
    assert not list(tmp_path.glob("*segmented*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    Path("locked").mkdir(mode=0o500)
    hyperseg_run(clip, "-o", "locked/out.mp4").failed_with("no permission")


def test_an_existing_output_is_kept(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    Path("out.mp4").write_text("precious")
    hyperseg_run(clip, "-o", "out.mp4").failed_with("out.mp4 exists", "--force")
    assert Path("out.mp4").read_text() == "precious"
    assert hyperseg_run(clip, "-o", "out.mp4", "--force").code == 0
    assert len(frame_times(Path("out.mp4"))) == 2


def limited(size: int) -> None:
    """In the child: no file may grow over `size` bytes, as on a disk that fills up."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_fills_up(model: Path, tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.mp4", count=3)
    second = write_clip(tmp_path / "b.mp4", count=200, size=(360, 640))
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", first, second, "-o", "out", "--model", model]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=functools.partial(limited, 100_000),
    )
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1
    assert "out/b.mp4 was not written" in done.stderr
    assert len(frame_times(tmp_path / "out" / "a.mp4")) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".hyperseg-run.jsonl", "a.mp4"]


def test_other_outputs_of_a_run_survive_one_that_fails(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=6)
    Path("labels").mkdir()
    (Path("labels") / "clip_000003.png").mkdir()
    hyperseg_run(clip, "-o", "out.mp4", "--labels", "labels", "--force").failed_with("clip_000003.png")
    assert len(frame_times(Path("out.mp4"))) == 4
    assert not leftovers(tmp_path)


def test_wrong_usage_is_exit_code_2(hyperseg_run: Run) -> None:
    for arguments in (
        ["--style", "neon", "a.mp4"],
        ["--start", "soon", "a.mp4"],
        ["--start", "5", "--end", "3", "a.mp4"],
    ):
        done = hyperseg_run(*arguments)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--"]])
def test_without_any_option_the_input_is_asked_for(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        common.execute(run, "hyperseg-run", arguments)
    assert ended.value.code == 2
    assert capfd.readouterr().err == "hyperseg-run: error: Missing argument 'INPUT...'. (see hyperseg-run --help)\n"


class _Stopping(http.server.BaseHTTPRequestHandler):
    """A server that announces a whole file and sends a part of it."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: len(self.content) * 2 // 3])

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_stream_that_stops(hyperseg_run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", count=100, size=(180, 320))
    hyperseg_run("clip.mp4", "-o", "indexed.mp4")
    _Stopping.content = Path("indexed.mp4").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stopping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/clip.mp4"
        done = hyperseg_run(url, "-o", "out.mp4")
    finally:
        server.shutdown()
    assert done.code == 1, done
    assert "kept" in done.err
    assert 10 < len(frame_times(Path("out.mp4"))) < 100


def test_a_stream_that_is_not_there(hyperseg_run: Run) -> None:
    hyperseg_run("http://127.0.0.1:9/clip.mp4").failed_with("does not answer")
    hyperseg_run("rtsp://127.0.0.1:9/clip").failed_with("does not answer")


def test_a_camera_that_is_not_there(hyperseg_run: Run) -> None:
    if Path("/dev/video63").exists():
        pytest.skip("this machine has a camera 63")
    done = hyperseg_run("63")
    assert done.code == 1
    assert "camera 63 cannot be opened" in done.err


def test_no_window_without_a_display(hyperseg_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    hyperseg_run(clip, "--show").failed_with("--show needs")


def test_labels_replace_nothing_without_force(hyperseg_run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    assert hyperseg_run(clip, "-o", "a.mp4", "--labels", "labels").code == 0
    hyperseg_run(clip, "-o", "b.mp4", "--labels", "labels").failed_with("labels/clip_00000", "kept", "--force")
    assert hyperseg_run(clip, "-o", "b.mp4", "--labels", "labels", "--force").code == 0
    Path("other").mkdir()
    write_clip(tmp_path / "other" / "clip.mp4", count=2)
    hyperseg_run(clip, "other/clip.mp4", "--labels", "new").failed_with("two inputs", "new/clip_000000.png", "labels")

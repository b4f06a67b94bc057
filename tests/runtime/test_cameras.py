"""hyperseg-run with several streams: servers on this machine die, stall, come back, and send garbage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
import pytest
from hyperseg_runtime.output import sinks

from .clips import frame_times, write_clip
from .conftest import ENVIRONMENT, Finished
from .live_servers import falls_silent_after, free_port, mjpeg, mpeg_ts, nothing, sends, server, web_server
from .numbered import number_in, numbered_image
from .sounds import Track, write_sound_clip

Run = Callable[..., Finished]
LIMIT_SECONDS = 60
CAMERA = ("--style", "contour", "--alpha", "0", "--no-outline", "--classes", "sky")
"""Draws next to nothing, so that the frames' numbers stay legible."""


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.height, stream.width


def records(done: Finished) -> list[dict[str, object]]:
    return list(json.loads(done.out)["runs"])


def test_several_at_the_same_time(hyperseg_run: Run) -> None:
    """Each waits for the other's first bytes before it goes on, so that one after the other they would never end."""
    begun = [threading.Event(), threading.Event()]
    content = mpeg_ts(40)

    def act(own: int) -> Callable[..., None]:
        def one(connection: object) -> None:
            begun[own].set()
            assert begun[1 - own].wait(LIMIT_SECONDS)
            sends(content)(connection)  # type: ignore[arg-type]

        return one

    with server(act(0)) as one, server(act(1)) as two:
        urls = [f"tcp://127.0.0.1:{port}" for port in (one, two)]
        options = ("--reconnect", "0", "--live-policy", "all", "--json", "--stats", "s.csv", "--labels", "labels")
        done = hyperseg_run(*urls, "-o", "out", "--polygons", "p.json", *options)
    assert done.code == 0, done
    names = [f"127.0.0.1-{port}" for port in (one, two)]
    assert [record["outputs"] for record in records(done)] == [[f"out/{name}.mp4"] for name in names]
    assert [(record["frames"], record["dropped"], record["reconnects"]) for record in records(done)] == [(40, 0, 0)] * 2
    sources = [line.split(",")[0] for line in Path("s.csv").read_text().splitlines()[1:]]
    assert [sources.count(url) for url in urls] == [40, 40]
    assert len(json.loads(Path("p.json").read_text())["images"]) == 80
    for name in names:
        assert len(frame_times(Path("out") / f"{name}.mp4")) == 40
        assert (Path("labels") / f"{name}_000039.png").exists()


def test_one_that_dies_comes_back_and_another_one_does_not_notice(hyperseg_run: Run) -> None:
    """It comes back with images of another size, and the frames between the two are missing."""
    with ExitStack() as stack:
        first = sends(mpeg_ts(20), 1.0)
        second = sends(mpeg_ts(20, (128, 192), first=100), 1.0)
        dies = stack.enter_context(server(first, nothing, second))
        steady = stack.enter_context(server(sends(mpeg_ts(240), 12.0)))
        urls = [f"tcp://127.0.0.1:{port}" for port in (dies, steady)]
        done = hyperseg_run(*urls, "-o", "out", "--max-frames", "30", "--json", "--live-policy", "all", *CAMERA)
    assert done.code == 0, done
    lost, whole = records(done)
    assert (lost["frames"], lost["reconnects"], whole["frames"], whole["reconnects"]) == (30, 1, 30, 0)
    video = Path("out") / f"127.0.0.1-{dies}.mp4"
    assert size_of(video) == (64, 96), "a video keeps its first size"
    with av.open(str(video)) as container:
        numbers = [number_in(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]
    assert numbers == [*range(20), *range(100, 110)]
    times = frame_times(video)
    assert max(after - before for before, after in pairwise(times)) > 0.2, "the outage: at least the first delay"
    assert float(str(lost["outage_seconds"])) > 0.2
    lines = [line for line in done.err.splitlines() if urls[0] in line]
    assert [line.split(f"{urls[0]}: ")[1].split(" ")[0] for line in lines] == ["lost", "back", "its"], lines
    assert not [line for line in done.err.splitlines() if urls[1] in line]


@pytest.mark.parametrize("kind", ["refuses", "garbage", "silent", "silent later"])
def test_a_bad_one_does_not_keep_the_others(hyperseg_run: Run, over: threading.Event, kind: str) -> None:
    with ExitStack() as stack:
        port = free_port()
        acts = {
            "garbage": sends(bytes(range(256)) * 400),
            "silent": falls_silent_after(nothing, over),
            "silent later": falls_silent_after(sends(mpeg_ts(25)), over),
        }
        if kind in acts:
            stack.enter_context(server(acts[kind], port=port))
        good = stack.enter_context(server(sends(mpeg_ts(40), 1.0)))
        options = ("--max-frames", "40", "--live-policy", "all", "--stall-timeout", "1", "--json")
        done = hyperseg_run(f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{good}", "-o", "out", *options)
    assert done.code == (0 if kind == "silent later" else 1), done
    wrong, right = records(done)
    assert (right["frames"], right["problems"]) == (40, [])
    assert len(frame_times(Path("out") / f"127.0.0.1-{good}.mp4")) == 40
    if kind == "silent later":
        assert (wrong["frames"], wrong["reconnects"]) == (40, 1), "it sends the same again"
    else:
        assert f"127.0.0.1:{port}" in str(wrong["error"])
        assert "trying again as long as another source runs" in done.err
        assert [path.name for path in Path("out").glob("*.mp4")] == [f"127.0.0.1-{good}.mp4"]


def test_if_none_answers(hyperseg_run: Run, tmp_path: Path) -> None:
    urls = [f"tcp://127.0.0.1:{free_port()}/{name}" for name in "ab"]
    done = hyperseg_run(*urls, "-o", "out")
    assert done.code == 1
    assert len(done.err.splitlines()) == 2
    for url, line in zip(urls, done.err.splitlines(), strict=True):
        assert line.startswith(f"hyperseg-run: error: cannot read {url}: it does not answer")
    assert not (tmp_path / "out").exists()


def test_a_single_one_is_reconnected_too(hyperseg_run: Run) -> None:
    with server(sends(mpeg_ts(20)), sends(mpeg_ts(20, first=100))) as port:
        done = hyperseg_run(f"tcp://127.0.0.1:{port}", "--live-policy", "all", "--max-frames", "30")
    assert done.code == 0, done
    assert (
        "30 frames in" in done.out
        and "0 frames dropped, lost for " in done.out
        and "s, reconnected 1 time\n" in done.out
    )
    assert len(frame_times(Path("stream.segmented.mp4"))) == 30


def test_files_come_before_cameras(hyperseg_run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", count=3)
    with server(sends(mpeg_ts(30))) as port:
        url = f"tcp://127.0.0.1:{port}"
        done = hyperseg_run(url, "clip.mp4", "-o", "out", "--max-frames", "3", "--json")
    assert [record["input"] for record in records(done)] == ["clip.mp4", url]
    assert {path.name for path in Path("out").glob("*.mp4")} == {"clip.mp4", "stream.mp4"}


def test_a_file_on_a_server_is_complete_and_has_its_sound(hyperseg_run: Run, tmp_path: Path) -> None:
    """No frame of it is dropped, and it is read once, while a camera runs beside it."""
    clip = write_sound_clip(tmp_path / "clip.mp4", Track("aac"), count=30)
    with web_server(clip.read_bytes(), "video/mp4") as web, server(sends(mpeg_ts(60), 3.0)) as camera:
        urls = f"http://127.0.0.1:{web}/clip.mp4", f"tcp://127.0.0.1:{camera}"
        done = hyperseg_run(*urls, "-o", "out", "--end", "1:00", "--reconnect", "0", "--json")
    assert done.code == 0, done
    file, live = records(done)
    assert (file["frames"], file["dropped"], file["problems"]) == (30, 0, [])
    assert int(str(live["frames"])) + int(str(live["dropped"])) > 45
    with av.open(f"out/127.0.0.1-{web}-clip.mp4.mp4") as video:
        assert len(video.streams.audio) == 1


def test_an_mjpeg_camera_with_a_password(hyperseg_run: Run, tmp_path: Path) -> None:
    """Its times are those of arrival: FFmpeg would take 25 frames a second. The password is nowhere."""
    pause = 0.2
    kind = "multipart/x-mixed-replace; boundary=part"
    with web_server(b"", kind, mjpeg(60), pause) as port:
        url = f"http://admin:s3cret@127.0.0.1:{port}/video?token=t0ken"
        options = ("--stats", "s.jsonl", "--polygons", "p.json", "--labels", "labels", "--json", "--max-frames", "12")
        done = hyperseg_run(url, url, "-o", "out", *options)
    assert done.code == 0, done
    name = f"127.0.0.1-{port}-video"
    assert {path.name for path in Path("out").glob("*.mp4")} == {f"{name}.mp4", f"{name}-2.mp4"}
    times = frame_times(Path("out") / f"{name}.mp4")
    assert times[-1] - times[0] > 2 * 11 / 25, "twice as long as FFmpeg would say"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    text = done.out + done.err + "".join(map(str, written))
    for secret in ("s3cret", "admin", "t0ken"):
        assert secret not in text
        assert not [path for path in written if secret.encode() in path.read_bytes()]


class Capture:
    """A camera through OpenCV. `read` gives (False, None) when there is no frame any more, and never raises
    (modules/videoio/include/opencv2/videoio.hpp, VideoCapture::read, OpenCV 4 and 5)."""

    opened: ClassVar[list[int]] = []
    frames: ClassVar[dict[int, list[int]]] = {}
    """By camera, how many frames it gives in each connection; without end after these."""

    def __init__(self, index: int) -> None:
        self.opened.append(index)
        left = self.frames.setdefault(index, [])
        self._left = left.pop(0) if left else 10**9
        self._number = 0

    def isOpened(self) -> bool:
        return self._left > 0

    def get(self, what: int) -> float:
        return 30.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.01)
        if self._number >= self._left:
            return False, None
        self._number += 1
        return True, numbered_image(self._number % 256)

    def release(self) -> None: ...


def test_cameras_of_this_machine(hyperseg_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is unplugged: once it cannot be opened, then it is back."""
    monkeypatch.setattr(Capture, "opened", [])
    monkeypatch.setattr(Capture, "frames", {7: [10, 0]})
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    options = ("--live-policy", "all", "--max-frames", "20", "--json", "-o", "out")
    done = hyperseg_run("7", "8", *options, *CAMERA)
    assert done.code == 0, done
    assert {path.name for path in Path("out").glob("*.mp4")} == {"camera-7.mp4", "camera-8.mp4"}
    assert [(record["frames"], record["reconnects"]) for record in records(done)] == [(20, 1), (20, 0)]
    assert sorted(Capture.opened) == [7, 7, 7, 8]
    notes = [line for line in done.err.splitlines() if "camera" in line]
    assert len(notes) == 2 and "the camera gives no frame" in notes[0] and "back after" in notes[1]
    times = frame_times(Path("out/camera-7.mp4"))
    assert len(times) == 20
    assert max(after - before for before, after in pairwise(times)) > 0.5, "the outage"


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_passwords_are_not_in_messages(hyperseg_run: Run, options: tuple[str, ...]) -> None:
    port = free_port()
    for url in (f"rtsp://admin:s3cret@127.0.0.1:{port}/x", f"http://127.0.0.1:{port}/x?pwd=s3cret&channel=1"):
        done = hyperseg_run(url, "--format", "png", "-o", "out", *options)
        assert done.code == 1
        assert "s3cret" not in done.err + done.out
        assert "does not answer" in done.err


def test_ctrl_c_completes_all_outputs(model: Path, tmp_path: Path, over: threading.Event) -> None:
    """Also that of one that is lost at the moment; the third one has not answered yet."""
    with ExitStack() as stack:
        ports = [
            stack.enter_context(server(sends(mpeg_ts(1200), 60.0))),
            stack.enter_context(server(sends(mpeg_ts(25)), falls_silent_after(nothing, over))),
            stack.enter_context(server(falls_silent_after(nothing, over))),
        ]
        urls = [f"tcp://127.0.0.1:{port}" for port in ports]
        command = [sys.executable, "-m", "hyperseg_runtime.cli.run", *urls, "-o", "out", "--live-policy", "all"]
        process = subprocess.Popen(
            [*command, "--model", str(model)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(list(tmp_path.glob("out/.*.part"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 130, err
    assert out.count(", interrupted") == 2, out
    for port in ports[:2]:
        assert frame_times(tmp_path / "out" / f"127.0.0.1-{port}.mp4")
    assert "interrupted before the first frame" in err or "does not answer" in err
    assert not list(tmp_path.rglob("*.part"))


def test_a_window_for_each(hyperseg_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All drawn by the main thread, as desktops demand; closing one ends the run, with complete outputs."""
    drawn: dict[str, int] = {}
    threads = set()

    def imshow(title: str, image: object) -> None:
        del image
        drawn[title] = drawn.get(title, 0) + 1
        threads.add(threading.current_thread())

    def key(delay: int) -> int:
        del delay
        return ord("q") if len(drawn) == 2 and min(drawn.values()) > 5 else -1

    monkeypatch.setattr(sinks, "missing_for_windows", lambda: ())
    monkeypatch.setattr(cv2, "imshow", imshow)
    monkeypatch.setattr(cv2, "waitKey", key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    with server(sends(mpeg_ts(1200), 60.0)) as one, server(sends(mpeg_ts(1200), 60.0)) as two:
        urls = [f"tcp://127.0.0.1:{port}" for port in (one, two)]
        done = hyperseg_run(*urls, "-o", "out", "--show", "--json")
    assert done.code == 0, done
    assert set(drawn) == {f"HyperSeg: {url}" for url in urls}
    assert threads == {threading.main_thread()}
    assert [record["interrupted"] for record in records(done)] == [True, True]
    assert all(frame_times(path) for path in Path("out").glob("*.mp4"))


def test_options_for_losses_do_not_hinder_resuming(hyperseg_run: Run, tmp_path: Path) -> None:
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", count=2)
    assert hyperseg_run("a.mp4", "b.mp4", "-o", "out").code == 0
    done = hyperseg_run("a.mp4", "b.mp4", "-o", "out", "--resume", "--reconnect", "3", "--stall-timeout", "5")
    assert done.code == 0, done
    assert "complete results kept" in done.err

"""Videos on web servers that state no length: files are complete and end, live streams are live."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from fractions import Fraction

import av
import pytest
from hyperseg_runtime.live.connection import Ending
from hyperseg_runtime.video.arrival import LONGEST_BURST, Arrival
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import SourceFrame

from .conftest import Finished
from .live_scene import Scene
from .live_servers import QuietHandler, mjpeg, mpeg_ts, sends, server, serving, web_server
from .numbered import numbered_image

Run = Callable[..., Finished]
Server = Callable[[bytes], AbstractContextManager[int]]
COUNT = 60
RATE = 20


def file_of(kind: str) -> bytes:
    """A clip with B-frames, which a decoder holds back."""
    content = io.BytesIO()
    with av.open(content, "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"bf": "3"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(numbered_image(number), format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return content.getvalue()


@contextmanager
def chunked(content: bytes) -> Iterator[int]:
    """Answers with chunks (RFC 9112, 7.1), whose last one is the end."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            pieces = [content[at : at + 4096] for at in range(0, len(content), 4096)]
            with suppress(OSError):  # the client has enough
                for piece in [*pieces, b""]:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.close_connection = True

    with serving(Handler) as port:
        yield port


def until_closed(content: bytes) -> AbstractContextManager[int]:
    """Answers with `content`, which ends with the connection."""
    return web_server(content, "video/mp2t", pieces=[])


def record(done: Finished) -> dict[str, object]:
    (run,) = json.loads(done.out)["runs"]
    return dict(run)


@pytest.mark.parametrize("sent", [chunked, until_closed])
@pytest.mark.parametrize("kind", ["mpegts", "flv", "matroska", "h264"])
def test_a_file_is_complete_and_ends(hyperseg_run: Run, kind: str, sent: Server) -> None:
    with sent(file_of(kind)) as port:
        done = hyperseg_run(f"http://127.0.0.1:{port}/clip", "--json")
    run = record(done)
    assert (done.code, done.err, run["problems"]) == (0, "", [])
    assert (run["frames"], run["dropped"], run["reconnects"]) == (COUNT, 0, 0)


def test_a_file_that_comes_slowly_ends_when_it_begins_again(hyperseg_run: Run) -> None:
    content = mpeg_ts(COUNT)
    pieces = [content[at : at + 1880] for at in range(0, len(content), 1880)]
    with web_server(b"", "video/mp2t", pieces, pause=COUNT / RATE / len(pieces)) as port:
        done = hyperseg_run(f"http://127.0.0.1:{port}/clip.ts", "--live-policy", "all", "--json")
    run = record(done)
    assert (done.code, run["problems"], run["reconnects"], run["outage_seconds"]) == (0, [], 0, 0)
    assert COUNT - 1 <= int(str(run["frames"])) <= COUNT
    assert "begins again with its first frame" in done.err


def test_a_camera_that_comes_at_its_own_pace_is_reconnected(hyperseg_run: Run) -> None:
    """MPEG-TS without a length, as go2rtc and many encoders serve it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
    first, second = (sends(head + mpeg_ts(COUNT, first=first), COUNT / RATE) for first in (0, 100))
    with server(first, second) as port:
        url = f"http://127.0.0.1:{port}/stream.ts"
        done = hyperseg_run(url, "--max-frames", "70", "--live-policy", "all", "--json")
    run = record(done)
    assert (done.code, run["frames"], run["reconnects"], run["problems"]) == (0, 70, 1, []), done
    assert "lost (" in done.err and "back after" in done.err


def test_a_closed_reader_says_whether_it_was_live() -> None:
    """Its thread closes it, while its last frames are still taken."""
    kind = "multipart/x-mixed-replace; boundary=part"
    with web_server(b"", kind, mjpeg(30), 0.01) as port, closing(VideoReader(f"http://127.0.0.1:{port}/")) as reader:
        rate = reader.rate
    assert (reader.live, reader.expected_frames, reader.rate) == (True, None, rate)


def test_what_was_live_once_is_live() -> None:
    """A stream that breaks off just after its first burst is lost, not complete."""
    with until_closed(mpeg_ts(COUNT)) as port:
        for known in (True, False):
            with closing(VideoReader(f"http://127.0.0.1:{port}/", known_live=known)) as reader:
                assert reader.live is known
                assert COUNT - 1 <= sum(1 for _ in reader.frames()) <= COUNT


class Stream:
    index = 0


class Packet:
    """One of 40 ms, as demuxers give it."""

    stream, size, time_base = Stream(), 100, Fraction(1, 1000)
    pts = None

    def __init__(self, number: int, timed: bool) -> None:
        self.dts = 40 * number if timed else None


class Sending:
    """Packets that come when the clock says; `error` or the end after `count`."""

    def __init__(self, burst: int, seconds: float, count: int = 10**6, error: Exception | None = None) -> None:
        self.now, self.timed = 50.0, True
        self._burst, self._seconds, self._count, self._error = burst, seconds, count, error

    def __iter__(self) -> Iterator[Packet]:
        for number in range(self._count):
            self.now += self._seconds if number >= self._burst else 0
            yield Packet(number, self.timed)
        if self._error is not None:
            raise self._error

    def arrival(self) -> Arrival:
        return Arrival(self, Stream(), Fraction(25), lambda: self.now)  # type: ignore[arg-type]


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(
    ("sending", "is_file"),
    [
        (Sending(0, 0.04), False),
        (Sending(100, 0.04), False),  # after a burst of 4 s
        (Sending(0, 0.001), True),
        (Sending(0, 0.001, count=50), True),
        (Sending(0, 0.05, count=10), False),  # breaks off
        (Sending(0, 0.001, count=50, error=ConnectionResetError("reset")), False),
        (Sending(0, 0.001, count=50, error=OSError(5, "premature")), True),  # the connection's end is the file's
    ],
)
def test_the_pace_tells_a_file(sending: Sending, is_file: bool, timed: bool) -> None:
    sending.now, sending.timed = 50.0, timed
    assert sending.arrival().is_file(connected=50.0) is is_file


def test_time_to_connect_counts() -> None:
    """What FFmpeg read while it looked into a live stream comes at once, but took its time."""
    burst = Sending(int(2 * LONGEST_BURST * 25), 0.04)
    assert not burst.arrival().is_file(connected=50.0 - float(2 * LONGEST_BURST))
    assert burst.arrival().is_file(connected=50.0)


def test_nothing_that_was_read_ahead_is_lost() -> None:
    sending = Sending(0, 0.001, count=50, error=ConnectionResetError("reset"))
    arrival = sending.arrival()
    arrival.is_file(connected=50.0)
    taken: list[int] = []
    with pytest.raises(ConnectionResetError):
        for packet in arrival:
            taken.append(packet.dts)
    assert taken == [40 * number for number in range(50)]


def connected(scene: Scene, beginning: bytes | None) -> SourceFrame | None:
    """The first frame of the next connection."""
    count = len(scene.readings)
    while len(scene.readings) == count:
        scene.after(0.25)
    scene.answers(0)
    scene.readings[-1].beginning = beginning
    return scene.after(0)


def test_a_file_that_begins_again_after_its_end_is_over() -> None:
    scene = Scene()
    assert connected(scene, b"first") is not None
    scene.ends()
    assert connected(scene, b"first") is None
    assert scene.source.ended and not scene.source.problems
    assert (scene.source.losses.reconnections, scene.source.losses.outage_seconds) == (0, 0)
    assert "begins again with its first frame" in scene.notes[-1]


def test_a_file_that_begins_again_after_a_loss_is_incomplete() -> None:
    scene = Scene()
    assert connected(scene, b"first") is not None
    scene.ends(Ending(stopped_by="Connection reset by peer"))
    assert connected(scene, b"first") is None
    assert scene.source.ended
    (problem,) = scene.source.problems
    assert "Connection reset by peer" in problem and "the frames before are kept" in problem


@pytest.mark.parametrize("beginnings", [(b"first", b"other"), (None, None)], ids=["another picture", "surely live"])
def test_a_live_source_goes_on(beginnings: tuple[bytes | None, bytes | None]) -> None:
    scene = Scene()
    assert connected(scene, beginnings[0]) is not None
    scene.ends()
    assert connected(scene, beginnings[1]) is not None
    assert not scene.source.ended and scene.source.losses.reconnections == 1

"""Servers of live video on this machine: what each connection gets is a script that a test writes."""

from __future__ import annotations

import contextlib
import http.server
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
import cv2

from .numbered import numbered_image

Act = Callable[[socket.socket], None]
"""What a server does with one connection, which it closes afterwards."""
LIMIT_SECONDS = 60


def mpeg_ts(count: int, size: tuple[int, int] = (64, 96), rate: int = 20, first: int = 0) -> bytes:
    """An MPEG transport stream of numbered frames. MPEG-2, which decodes without frames held back in threads."""
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=rate, options={"g": "5", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_image((first + number) % 256, size), format="bgr24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return content.getvalue()


def sends(content: bytes, seconds: float = 0) -> Act:
    """Sends `content` evenly over some time, then closes."""

    def act(connection: socket.socket) -> None:
        pieces = [content[at : at + 1880] for at in range(0, len(content), 1880)]
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(seconds / len(pieces))

    return act


def falls_silent_after(before: Act, ended: threading.Event) -> Act:
    """Keeps the connection open without sending anything more, until the test ends."""

    def act(connection: socket.socket) -> None:
        before(connection)
        ended.wait(LIMIT_SECONDS)

    return act


def nothing(connection: socket.socket) -> None:
    del connection


@contextmanager
def server(*acts: Act, port: int = 0) -> Iterator[int]:
    """Serves one act for each connection, the last one again and again; gives the port."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen()

    def serve(act: Act, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client has enough
            act(connection)

    def accept() -> None:
        waiting = list(acts)
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # the test has ended
                return
            act = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            threading.Thread(target=serve, args=(act, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """Answers HTTP requests at a free port."""
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    try:
        yield found.server_port
    finally:
        found.shutdown()
        found.server_close()


@contextmanager
def web_server(content: bytes, kind: str, pieces: list[bytes] | None = None, pause: float = 0) -> Iterator[int]:
    """Answers every request with `content` and its length, or else with endless `pieces`, one after each pause."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            if pieces is None:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has enough
                self.wfile.write(content)
                for piece in pieces or []:
                    self.wfile.write(piece)
                    time.sleep(pause)

    with serving(Handler) as port:
        yield port


def mjpeg(count: int, size: tuple[int, int] = (64, 96)) -> list[bytes]:
    """The parts of an MJPEG camera's answer (multipart/x-mixed-replace; boundary=part)."""
    parts = []
    for number in range(count):
        image = cv2.imencode(".jpg", numbered_image(number % 256, size))[1].tobytes()
        head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
        parts.append(head.encode() + image + b"\r\n")
    return parts

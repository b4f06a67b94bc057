"""Opening of a source with FFmpeg, and the choice of its video stream."""

from __future__ import annotations

from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.video.location import STANDARD_INPUT, displayed, ffmpeg_name, is_live_url, is_url
from hyperseg_runtime.video.pipe import Pipe

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MICROSECOND: Final = Fraction(1, 1_000_000)
"""FFmpeg's unit for a container's start and duration."""
_LIVE_OPTIONS: Final = {"rtsp_transport": "tcp", "fpsprobesize": "4"}
"""The latter: frames to estimate the rate from; by default 20, which come in 4 s where a camera sends 5 a second."""
PIPE_HINT: Final = "it needs reading from its end, as MP4 without faststart does: name the file"


def open_container(source: str, pipe: Pipe | FileIO | None, timeout_seconds: float) -> InputContainer:
    """Opens a path, a URL, or an open pipe in place of them. Raises InputError. timeout_seconds: for URLs."""
    import av
    from av.error import FFmpegError

    # Off, and not merely PANIC: at any other level ffmpeg's decoding threads take the interpreter lock to report an
    # error, while the thread that closes the decoder may hold it and wait for them.
    av.logging.set_level(None)
    options = dict(_LIVE_OPTIONS) if is_live_url(source) else {}
    try:
        if pipe is not None:
            return av.open(pipe, mode="r")
        if not is_url(source):
            _check_file(source)
        return av.open(
            ffmpeg_name(source), mode="r", options=options, timeout=timeout_seconds if is_url(source) else None
        )
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = failure(error)
        shown = "standard input (-)" if source == STANDARD_INPUT else displayed(source)
        cause = error if shown == source else None  # its text has the URL with the password
        raise InputError(f"cannot read {shown}: {_hint(source, pipe)} ({reason})") from cause


def failure(error: Exception) -> str:
    """FFmpeg's reason in words; its own ("Immediate exit requested") does not say that a time limit was reached."""
    from av.error import ExitError

    if isinstance(error, ExitError):
        return "it sent nothing for too long"
    return str(getattr(error, "strerror", None) or error)


def _hint(source: str, pipe: Pipe | FileIO | None) -> str:
    if isinstance(pipe, Pipe):
        return f"it is not a video, or {PIPE_HINT}"
    return "it does not answer" if is_url(source) else "it is not a video, or it is truncated"


def _check_file(source: str) -> None:
    path = Path(source)
    if not path.exists():
        raise InputError(f"{source} does not exist")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{source} is empty (0 bytes)")


def is_seekable(source: str) -> bool:
    """Whether `source` is a regular file, which can be opened twice."""
    return not is_url(source) and source != STANDARD_INPUT and Path(source).is_file()


def choose_stream(container: InputContainer, source: str) -> VideoStream:
    """The default one of the tracks that can be decoded and are no cover images, or the first. Raises InputError."""
    from av.stream import Disposition

    shown = displayed(source)
    stills = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & stills]
    decodable = [stream for stream in moving if stream.codec_context is not None]
    if decodable:
        return next((stream for stream in decodable if stream.disposition & Disposition.default), decodable[0])
    if moving:
        raise InputError(f"{shown} has a video codec that FFmpeg cannot decode; convert it to H.264 first")
    what = "no video in it but a cover image" if container.streams.video else "no video in it"
    raise InputError(f"{shown} has {what}; give a video, an image, or a folder of them")

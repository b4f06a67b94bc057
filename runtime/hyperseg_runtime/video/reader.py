"""Decoding of video files and network streams, with PyAV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.preprocess import Frame
from hyperseg_runtime.video.sources import Selection, SourceFrame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

_MICROSECOND = Fraction(1, 1_000_000)  # ffmpeg's unit for a container's start and duration
_LIVE_SCHEMES = ("rtsp", "rtsps", "rtp", "udp", "srt", "rtmp")


class VideoReader:
    """Decodes a file or URL: upright BGR frames with exact times, whatever the pixel format.

    Chroma is interpolated as OpenCV does it (bicubic), alpha is dropped, display rotation is applied to the pixels.
    """

    def __init__(self, source: str, selection: Selection | None = None, timeout_seconds: float = 15.0) -> None:
        """Raises InputError if there is nothing to read. `timeout_seconds` is for streams that stop responding."""
        self._source = source
        self._selection = selection or Selection()
        self._problems: list[str] = []
        self._damaged = 0
        self._container = _open(source, timeout_seconds)
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{source} has no video in it; give a video, an image, or a folder of them")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._origin = (self._container.start_time or 0) * _MICROSECOND

    @property
    def name(self) -> str:
        return self._source

    @property
    def stem(self) -> str:
        return "stream" if "://" in self._source else Path(self._source).stem

    @property
    def live(self) -> bool:
        return self._source.split("://", 1)[0].lower() in _LIVE_SCHEMES if "://" in self._source else False

    @property
    def problems(self) -> list[str]:
        return self._problems

    @property
    def has_sound(self) -> bool:
        return bool(self._container.streams.audio)

    @property
    def time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, 90_000)

    @property
    def rate(self) -> Fraction:
        """Average frames per second, without those that --every leaves out."""
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        return Fraction(rate) / self._selection.every

    @property
    def expected_frames(self) -> int | None:
        count = self._total_frames()
        if count is None:
            return self._selection.max_frames
        rate = self._stream.average_rate or Fraction(25)
        if self._selection.end is not None:
            count = min(count, math.ceil(self._selection.end * rate))
        count = max(0, count - math.ceil(self._selection.start * rate))
        count = -(-count // self._selection.every)
        return count if self._selection.max_frames is None else min(count, self._selection.max_frames)

    def _total_frames(self) -> int | None:
        if self._stream.frames:
            return self._stream.frames
        if self._container.duration is None or self._stream.average_rate is None:
            return None
        return round(self._container.duration * _MICROSECOND * self._stream.average_rate)

    def frames(self) -> Iterator[SourceFrame]:
        """The selected frames. Times count from --start. Raises InputError if the source has no frame at all."""
        wanted = self._selection
        if wanted.start and not self.live:
            target = math.floor((wanted.start + self._origin) / self.time_base)
            self._container.seek(max(0, target), stream=self._stream)
        given = seen = 0
        rate = self._stream.average_rate or Fraction(25)
        first_index: int | None = None
        for frame in self._decoded():
            time = self._time(frame, seen, rate)
            if first_index is None:
                first_index = round(time * rate) if wanted.start else 0
            index = first_index + seen
            seen += 1
            if time < wanted.start or index % wanted.every:
                continue
            if wanted.end is not None and time >= wanted.end:
                break
            yield SourceFrame(_upright(frame), index, time - wanted.start, f"{self.stem}_{index:06d}")
            given += 1
            if given == wanted.max_frames:
                return
        if given == 0:
            self._nothing(seen)
        self._check_complete(seen)

    def _nothing(self, seen: int) -> None:
        if seen:
            raise InputError(f"{self._source} has no frame between --start and --end")
        why = f": {self._problems[0]}" if self._problems else ""
        raise InputError(f"{self._source} has no frame that can be decoded{why}")

    def _time(self, frame: VideoFrame, seen: int, rate: Fraction) -> Fraction:
        if frame.pts is None:
            return seen / Fraction(rate)
        return max(Fraction(0), frame.pts * (frame.time_base or self.time_base) - self._origin)

    def _decoded(self) -> Iterator[VideoFrame]:
        """Decodes packet by packet, so that a damaged packet loses its own frames only."""
        from av.error import FFmpegError

        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except FFmpegError:
                    self._damaged += 1
        except FFmpegError as error:
            self._problems.append(f"{self._source} stopped: {error.strerror or error}; the frames before it are kept")

    def _check_complete(self, seen: int) -> None:
        """Adds missing frames to the problems, unless the reason is known already."""
        promised = self._stream.frames
        if self._problems:
            return
        if self._selection.whole and seen < promised:
            self._problems.append(f"{self._source} is truncated: {seen} of {promised} frames; they are kept")
        elif self._damaged:
            self._problems.append(f"{self._source}: {self._damaged} damaged packets were skipped; the rest is kept")

    def close(self) -> None:
        self._container.close()


def _open(source: str, timeout_seconds: float) -> InputContainer:
    import av
    from av.error import FFmpegError

    # Off, and not merely PANIC: at any other level ffmpeg's decoding threads take the interpreter lock to report an
    # error, while the thread that closes the decoder may hold it and wait for them.
    av.logging.set_level(None)
    remote = "://" in source
    path = Path(source)
    if not remote:
        if not path.exists():
            raise InputError(f"{source} does not exist")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{source} is empty (0 bytes)")
    options = {"rtsp_transport": "tcp"} if source.lower().startswith("rtsp") else {}
    try:
        return av.open(source, mode="r", options=options, timeout=timeout_seconds if remote else None)
    except FFmpegError as error:
        reason = error.strerror or str(error)
        hint = "it does not answer" if remote else "it is not a video, or it is truncated"
        raise InputError(f"cannot read {source}: {hint} ({reason})") from error


def _upright(frame: VideoFrame) -> Frame:
    image = np.asarray(frame.to_ndarray(format="bgr24", interpolation="BICUBIC"), dtype=np.uint8)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

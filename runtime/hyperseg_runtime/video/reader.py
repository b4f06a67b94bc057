"""Decoding of video files and network streams, with PyAV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.preprocess import Frame
from hyperseg_runtime.video.pipe import STANDARD_INPUT, Pipe, open_pipe
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection, SourceFrame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

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
        self._pipe = open_pipe(source)
        self._container = _open(source, self._pipe, timeout_seconds)
        try:
            self._stream = _video_stream(self._container, source)
        except InputError:
            self.close()
            raise
        self._stream.thread_type = "AUTO"
        self._origin = (self._container.start_time or 0) * _MICROSECOND
        self._sound = SoundTrack(())

    @property
    def name(self) -> str:
        return self._source

    @property
    def stem(self) -> str:
        if self._source == STANDARD_INPUT:
            return "stdin"
        return "stream" if "://" in self._source else Path(self._source).stem

    @property
    def live(self) -> bool:
        return self._source.split("://", 1)[0].lower() in _LIVE_SCHEMES if "://" in self._source else False

    @property
    def problems(self) -> list[str]:
        return self._problems

    def sound(self) -> SoundTrack | None:
        """The sound, whose packets `frames` will put there; None if the source has none. Call it before `frames`."""
        self._sound = SoundTrack(self._container.streams.audio)
        return self._sound if self._container.streams.audio else None

    @property
    def _zero(self) -> Fraction:
        """The container's time, in seconds, that is 0 in the output."""
        return self._origin + self._selection.start

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
        self._packets = self._container.demux(self._stream, *self._sound.streams)
        for frame in self._decoded():
            time = self._time(frame, seen, rate)
            if first_index is None:
                first_index = round(time * rate) if wanted.start else 0
            index = first_index + seen
            seen += 1
            if time < wanted.start or index % wanted.every:
                continue
            if wanted.end is not None and time >= wanted.end:
                self._read_sound_until(wanted.end)
                break
            yield SourceFrame(_upright(frame), index, time - wanted.start, f"{self.stem}_{index:06d}")
            given += 1
            if given == wanted.max_frames:
                self._read_sound_until(time)
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
            for packet in self._packets:
                if self._sound.takes(packet, self._zero):
                    continue
                try:
                    yield from self._stream.decode(packet)
                except FFmpegError:
                    self._damaged += 1
        except IndexError:
            pass  # PyAV's, at the end of the file, where tracks were added in mid-stream
        except FFmpegError as error:
            self._problems.append(f"{self._source} stopped: {error.strerror or error}; the frames before it are kept")

    def _read_sound_until(self, end: Fraction) -> None:
        """Reads on for the sound of the last frames. `end`: in seconds since the beginning of the source."""
        if self._sound.stream is None or self.live:
            return
        if isinstance(self._pipe, Pipe):
            self._pipe.hurry()
        self._sound.read_until(self._origin + end, self._packets, self._zero)

    def _check_complete(self, seen: int) -> None:
        """Adds missing frames to the problems, unless the reason is known already."""
        promised = self._stream.frames
        if self._problems:
            return
        if self._selection.whole and seen < promised:
            self._problems.append(f"{self._source} is truncated: {seen} of {promised} frames; they are kept")
        elif self._damaged:
            self._problems.append(f"{self._source}: {self._damaged} damaged packets were skipped; the rest is kept")

    def stop(self) -> None:
        """Ends a pipe that is being read, from any thread: `frames` ends there."""
        if isinstance(self._pipe, Pipe):
            self._pipe.stop()

    def close(self) -> None:
        self._container.close()
        if self._pipe is not None:
            self._pipe.close()


def _open(source: str, pipe: Pipe | FileIO | None, timeout_seconds: float) -> InputContainer:
    import av
    from av.error import FFmpegError

    # Off, and not merely PANIC: at any other level ffmpeg's decoding threads take the interpreter lock to report an
    # error, while the thread that closes the decoder may hold it and wait for them.
    av.logging.set_level(None)
    remote = "://" in source
    path = Path(source)
    if not remote and pipe is None:
        if not path.exists():
            raise InputError(f"{source} does not exist")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{source} is empty (0 bytes)")
    options = {"rtsp_transport": "tcp"} if source.lower().startswith("rtsp") else {}
    try:
        return av.open(pipe or source, mode="r", options=options, timeout=timeout_seconds if remote else None)
    except FFmpegError as error:
        reason = error.strerror or str(error)
        hint = "it does not answer" if remote else "it is not a video, or it is truncated"
        if isinstance(pipe, Pipe):
            pipe.close()
            hint += ", or needs reading from its end, as MP4 without faststart does: name the file"
        raise InputError(f"cannot read {source}: {hint} ({reason})") from error


def _video_stream(container: InputContainer, source: str) -> VideoStream:
    """The first track that can be decoded and is not the cover of a piece of music. Raises InputError."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & still]
    decoded = [stream for stream in moving if stream.codec_context is not None]
    if decoded:
        return decoded[0]
    if moving:
        raise InputError(f"{source} has a video codec that FFmpeg cannot decode; convert it to H.264 first")
    what = "no video in it but a cover image" if container.streams.video else "no video in it"
    raise InputError(f"{source} has {what}; give a video, an image, or a folder of them")


def _upright(frame: VideoFrame) -> Frame:
    image = np.asarray(frame.to_ndarray(format="bgr24", interpolation="BICUBIC"), dtype=np.uint8)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

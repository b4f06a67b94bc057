"""How the packets of a web server's video arrive, which tells a file from a live stream where nothing states a length.

A live stream comes at its own pace, after a burst of at most a few seconds with which servers begin. A file comes as
fast as the network carries it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hyperseg_runtime.video.location import is_live_url, is_url

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

LONGEST_BURST = Fraction(5)
"""Seconds of video by which a live stream may be ahead of the clock since it was connected."""
_WATCHED_SECONDS = 1.0
_ALWAYS_LIVE = frozenset({"mpjpeg", "hls", "dash"})
"""Cameras' multipart MJPEG, and playlists, which state a length where they are complete."""


class Arrival:
    """The packets of a container, of which the first are read ahead to see how fast they come."""

    def __init__(
        self, packets: Iterable[Packet[Any]], stream: VideoStream, rate: Fraction, clock: Callable[[], float]
    ) -> None:
        """rate: of the stream's frames per second, for packets without times."""
        self._packets, self._stream, self._rate, self._clock = _to_the_end(packets), stream, rate, clock
        self._read: list[Packet[Any]] = []
        self._error: Exception | None = None
        self._failed = False
        self._first: Fraction | None = None
        self._video = Fraction(0)
        """Seconds of video that came."""
        self._count = 0

    def is_file(self, connected: float) -> bool:
        """Reads ahead for a second, or to the end if that comes before. connected: when the source was asked for, by
        the clock. A stream that ends or fails within the second is a file if it ended, and came faster than it plays.
        """
        until = self._clock() + _WATCHED_SECONDS
        while self._clock() < until:
            packet = self._next()
            if packet is None:
                return not self._failed and self._ahead(connected) > 0
            if self._ahead(connected) > LONGEST_BURST:
                return True
        return False

    def _ahead(self, connected: float) -> float:
        """Seconds by which the video is ahead of the clock."""
        return float(self._video) - (self._clock() - connected)

    def _next(self) -> Packet[Any] | None:
        from av.error import FFmpegError

        try:
            packet = next(self._packets, None)
        except (FFmpegError, OSError, IndexError) as error:
            self._error = error  # raised again in its place
            self._failed = not isinstance(error, IndexError)  # PyAV's end of some files, see `Decoder.frames`
            return None
        if packet is None:
            return None
        self._read.append(packet)
        if packet.stream.index == self._stream.index and packet.size:
            self._count += 1
            stamp = packet.dts if packet.dts is not None else packet.pts
            unit = packet.time_base
            if stamp is None or unit is None:
                self._video = max(self._video, self._count / self._rate)
            else:
                if self._first is None:
                    self._first = stamp * unit
                self._video = max(self._video, stamp * unit - self._first + 1 / self._rate)
        return packet

    def __iter__(self) -> Iterator[Packet[Any]]:
        """All packets, those that were read ahead first; once."""
        while self._read:
            yield self._read.pop(0)
        if self._error is not None:
            raise self._error
        yield from self._packets


def _to_the_end(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """The packets. An answer that ends with its connection (RFC 9112, 6.3) is a "premature" end to FFmpeg, EIO, since
    its length is as yet endless (libavformat/http.c, http_buf_read, FFmpeg 8); a connection that is reset, or reaches
    its time limit, is another error."""
    from av.error import FFmpegError

    try:
        yield from packets
    except (FFmpegError, OSError) as error:
        if error.errno != errno.EIO:
            raise


def is_unsized(source: str, container: InputContainer) -> bool:
    """Whether a web server sends `source` without saying how many bytes it has."""
    return is_url(source) and not is_live_url(source) and container.size < 0


def may_be_file(source: str, container: InputContainer, total_frames: int | None) -> bool:
    """Whether that is a file or live, as MPEG-TS and FLV are, so that only its pace can tell."""
    formats = set(container.format.name.split(","))
    return is_unsized(source, container) and total_frames is None and not _ALWAYS_LIVE & formats


def watched(container: InputContainer, stream: VideoStream, rate: Fraction) -> Arrival:
    """The packets of all streams."""
    return Arrival(container.demux(), stream, rate, time.monotonic)

"""Packets that need not be decoded for --start, and the numbers of the frames after them.

The packets before the start are read, not decoded: their presentation times tell the number of every frame exactly,
for variable frame rates as well, and that no timestamp jumps. Seeking by time, in contrast, misses keyframes in MPEG
streams, and cannot number frames.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from hyperseg_runtime.video.timeline import FORWARD_JUMP

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_ONE_FRAME_PER_PACKET: Final = frozenset(
    {"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "prores", "dnxhd", "ffv1", "rawvideo"}
)
"""Codecs without hidden frames (VP8 has some) and whose packets hold whole frames."""
_MARGIN: Final = Fraction(1)


@dataclass(frozen=True)
class Skip:
    """A point at which decoding may begin."""

    packets: int
    """Number of packets before it."""
    times: list[int]
    """Presentation times of all packets up to the start and a little further, sorted."""
    first: int
    """Presentation time of the keyframe at the point."""

    def number_of(self, time: int | None, decoded: int) -> int | None:
        """The number of the frame with presentation time `time`, the first from the start on; None: unknown.

        decoded: number of frames from the keyframe on, without this one. It disagrees where a packet is not a frame
        (fields in packets of their own).
        """
        if time is None:
            return None
        number = bisect_left(self.times, time)
        known = number < len(self.times) and self.times[number] == time
        return number if known and number - bisect_left(self.times, self.first) == decoded else None


def find_skip(container: InputContainer, stream: VideoStream, start: Fraction) -> Skip | None:
    """Reads a newly opened container up to the source time `start`, in seconds; None: decode from the beginning.

    Decoding begins two keyframes before the start: images that follow a keyframe and are shown before it refer to
    the one before (open GOP). Raises FFmpegError.
    """
    unit = stream.time_base
    if unit is None or stream.codec_context.codec.canonical_name not in _ONE_FRAME_PER_PACKET:
        return None
    times: list[int] = []
    keyframes: list[int] = []
    before: int | None = None
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt or packet.is_discard:
            return None
        if packet.dts is not None:
            if before is not None and not 0 < (packet.dts - before) * unit < max(FORWARD_JUMP, _MARGIN):
                return None
            before = packet.dts
        if packet.is_keyframe and packet.pts * unit <= start:
            keyframes.append(len(times))
        times.append(packet.pts)
        if before is not None and before * unit > start + _MARGIN:
            break
    if len(keyframes) < 3 or keyframes[0] != 0 or len(set(times)) < len(times):
        return None
    return Skip(keyframes[-2], sorted(times), times[keyframes[-2]])

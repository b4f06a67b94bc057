"""What is wrong with a source that was read: it stopped, it is truncated, or it is damaged in between."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperseg_runtime.video.container import MICROSECOND
from hyperseg_runtime.video.decoder import Decoder
from hyperseg_runtime.video.timeline import Timeline

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_STATING_DURATION: Final = ("matroska,webm", "flv")
"""Formats whose headers state the duration; that of others is FFmpeg's estimate, or counted in frames."""
_SHORT: Final = Fraction(1, 4)
"""Seconds by which the end of a source may differ from the one stated."""


def find_fault(
    container: InputContainer, stream: VideoStream, decoder: Decoder, timeline: Timeline, whole: bool
) -> str | None:
    """The rest of a sentence that begins with the source's name; None: nothing is wrong. whole: all of it was read.

    Of formats without an index or a duration, an end that is missing cannot be told: MPEG streams, GIF.
    """
    if decoder.stopped is not None:
        return f"stopped: {decoder.stopped}; the frames before it are kept"
    promised = stream.frames
    if not whole:
        return _damage(decoder.damaged)
    # Where two MPEG streams are joined, their counters do not continue, which FFmpeg reports as one corrupt packet.
    damaged = max(decoder.damaged, decoder.corrupt - (len(timeline.offsets) - 1))
    if decoder.packets < promised and not _reaches_stated_end(stream, decoder, timeline):
        if container.format.name == "avi" and not _is_shorter_than_its_header(container.name):
            return f"is damaged: {promised - decoder.packets} of {promised} frames are missing; the rest is kept"
        return f"is truncated: {decoder.packets} of {promised} frames are there; they are kept"
    missing = _missing_seconds(container, decoder, timeline)
    if missing:
        return f"is truncated: its last {float(missing):.1f} s are missing; the frames before them are kept"
    return _damage(max(damaged, decoder.lost if promised else 0))


def _reaches_stated_end(stream: VideoStream, decoder: Decoder, timeline: Timeline) -> bool:
    """Whether packets are missing only because MP4's edit list leaves them out, at the beginning."""
    if stream.container.format.name == "avi" or not stream.duration or stream.time_base is None:
        return False
    end = ((stream.start_time or 0) + stream.duration) * stream.time_base
    return decoder.ends > end - timeline.step * 3 / 2


def _damage(count: int) -> str | None:
    if not count:
        return None
    what = "1 packet or frame" if count == 1 else f"{count} packets or frames"
    return f"is damaged: {what} could not be decoded; the rest is kept"


def _missing_seconds(container: InputContainer, decoder: Decoder, timeline: Timeline) -> Fraction:
    """By how much the source ends before its header says; 0 for formats without that in the header."""
    if container.format.name not in _STATING_DURATION or container.duration is None:
        return Fraction(0)
    # Some writers count it from 0, others from the first timestamp.
    missing = container.duration * MICROSECOND - max(decoder.ends, decoder.ends - timeline.origin)
    return missing if missing > max(_SHORT, 3 * timeline.step) else Fraction(0)


def _is_shorter_than_its_header(name: str) -> bool:
    """Whether an AVI file ends before its RIFF chunk does."""
    try:
        path = Path(name.removeprefix("file:"))
        with path.open("rb") as file:
            chunk, size = struct.unpack("<4sI", file.read(8))
            return chunk == b"RIFF" and bool(size + 8 > path.stat().st_size)
    except (OSError, ValueError, struct.error):
        return False

"""What a source states of itself, read once: a closed container cannot be asked any more, and live ones are closed by
another thread than that which uses their frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from hyperseg_runtime.video.container import MICROSECOND
from hyperseg_runtime.video.sources import Selection
from hyperseg_runtime.video.timeline import without_presentation_times

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_DEFAULT_RATE = Fraction(25)
_GREATEST_RATE = 1000
_DEFAULT_UNIT = Fraction(1, 90_000)


@dataclass(frozen=True)
class Stated:
    """The facts of one video stream."""

    untimed: bool
    """Whether FFmpeg makes up times at a nominal rate, as for MJPEG over HTTP."""
    rate: Fraction
    """Average frames per second."""
    time_base: Fraction
    """The unit of the timestamps, in seconds."""
    total_frames: int | None
    """None: nothing tells the length."""
    start: Fraction
    """The earliest timestamp, in seconds; exact where it is that of the video: FFmpeg rounds it to microseconds."""

    @staticmethod
    def of(container: InputContainer, stream: VideoStream) -> Stated:
        untimed = without_presentation_times(container)
        rate = _rate(stream, untimed)
        unit = stream.time_base or _DEFAULT_UNIT
        return Stated(untimed, rate, unit, _total_frames(container, stream, rate), _start(container, stream, unit))

    def selected_frames(self, selection: Selection) -> int | None:
        """How many frames the selection has, about; None: unknown."""
        if self.total_frames is None:
            return selection.max_frames
        count = self.total_frames
        if selection.end is not None:
            count = min(count, math.ceil(selection.end * self.rate))
        count = max(0, count - math.ceil(selection.start * self.rate))
        count = -(-count // selection.every)
        return count if selection.max_frames is None else min(count, selection.max_frames)


def _rate(stream: VideoStream, untimed: bool) -> Fraction:
    """Elementary streams have no average; their headers' rate is the guess."""
    known = [stream.average_rate, stream.guessed_rate]
    for rate in reversed(known) if untimed else known:
        if rate and 0 < rate <= _GREATEST_RATE:
            return Fraction(rate)
    return _DEFAULT_RATE


def _total_frames(container: InputContainer, stream: VideoStream, rate: Fraction) -> int | None:
    if stream.frames:
        return stream.frames
    return None if container.duration is None else round(container.duration * MICROSECOND * rate)


def _start(container: InputContainer, stream: VideoStream, unit: Fraction) -> Fraction:
    start = (container.start_time or 0) * MICROSECOND
    of_video = (stream.start_time or 0) * unit
    return of_video if abs(of_video - start) <= 2 * MICROSECOND else start

"""Reading of videos: files, network streams, pipes and standard input, with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.video.arrival import Arrival, is_unsized, may_be_file, watched
from hyperseg_runtime.video.colour import BgrConverter, Orientation, converts_hdr, hdr_name, orientation, pixel_aspect
from hyperseg_runtime.video.completeness import find_fault
from hyperseg_runtime.video.container import PIPE_HINT, choose_stream, is_seekable, open_container
from hyperseg_runtime.video.decoder import Decoder
from hyperseg_runtime.video.location import STANDARD_INPUT, displayed, is_live_url, is_url
from hyperseg_runtime.video.pipe import Pipe, open_pipe
from hyperseg_runtime.video.skipping import Skip, find_skip
from hyperseg_runtime.video.sound_feed import SoundFeed, SoundTaker
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection, SourceFrame
from hyperseg_runtime.video.stated import Stated
from hyperseg_runtime.video.timeline import (
    NumberedFrame,
    PacketTimes,
    TimedFrame,
    Timeline,
    is_discontinuous,
    spread,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

_GREATEST_ROUNDING = Fraction(1, 200)
"""Seconds by which a container's timestamps may be rounded: half a unit of GIF's, so that cuts at frames stay there."""


class VideoReader:
    """Decodes a source: upright BGR frames with exact times and numbers, whatever container and pixel format.

    Times count from the earliest stream's start, and are continuous where timestamps jump (`timeline`). A frame has the
    same number with and without --start.
    """

    def __init__(
        self,
        source: str,
        selection: Selection | None = None,
        timeout_seconds: float = 15.0,
        stop_asked: Callable[[], bool] = lambda: False,
        known_live: bool = False,
    ) -> None:
        """source: a path, a URL, or "-" for standard input. Raises InputError if there is nothing to read.

        timeout_seconds: for streams that stop responding. stop_asked: polled while a pipe has no data, which then ends.
        known_live: a web server's video without a stated length is live; False: the pace at which it comes tells.
        """
        self._source = source
        self._selection = selection or Selection()
        self._timeout, self._known_live = timeout_seconds, known_live
        self._problems: list[str] = []
        self._sound: SoundTaker | None = None
        self._to_bgr = BgrConverter()
        self._orientations: dict[int, Orientation] = {}
        self._containers: list[InputContainer] = []
        self._stopped = False
        self.exhausted = False
        """Whether the source itself has ended, and not the selection; known after the last frame."""
        self._pipe = open_pipe(source, stop_asked)
        try:
            self._open()
        except InputError:
            self.close()
            if stop_asked():
                raise InputError(f"{self.name}: interrupted before the first frame") from None
            raise

    def _open(self) -> None:
        connected = monotonic()
        self._container = open_container(self._source, self._pipe, self._timeout)
        self._containers.append(self._container)
        self._stream = choose_stream(self._container, self._source)
        self._stream.thread_type = "AUTO"
        self._coded_aspect = self._stream.codec_context.sample_aspect_ratio
        self._stated = stated = Stated.of(self._container, self._stream)
        self._step = 1 / stated.rate
        self._rounding = min(stated.time_base / 2, _GREATEST_ROUNDING)
        self.timeline = Timeline(stated.start, self._step, is_discontinuous(self._container))
        """From source times to output times before --start is subtracted."""
        self._packets: Arrival | None = None
        self.may_be_file = may_be_file(self._source, self._container, stated.total_frames)
        """Whether a web server does not say if it is a file or live."""
        self.live = is_live_url(self._source) or (is_url(self._source) and stated.total_frames is None)
        """By the protocol; a web server's video is live where nothing tells its length (MJPEG, HLS, MPEG-TS) and it
        comes at its own pace."""
        if is_unsized(self._source, self._container):
            self._packets = watched(self._container, self._stream, stated.rate)
            if self.may_be_file and not self._known_live:
                self.live = not self._packets.is_file(connected)

    @property
    def name(self) -> str:
        return "standard input" if self._source == STANDARD_INPUT else displayed(self._source)

    @property
    def stem(self) -> str:
        if self._source == STANDARD_INPUT:
            return "stdin"
        return "stream" if is_url(self._source) else Path(self._source).stem

    @property
    def problems(self) -> list[str]:
        return self._problems

    @property
    def stopped_by(self) -> str | None:
        """The error that ended the reading of frames, if one did."""
        return self._decoder.stopped

    def sound(self) -> SoundTrack | None:
        """The sound, whose packets `frames` will put there; None if the source has none. Call it before `frames`."""
        if not self._container.streams.audio:
            return None
        track = SoundTrack(self._container.streams.audio)
        self._sound = track
        return track

    @property
    def untimed(self) -> bool:
        """Whether FFmpeg makes up times at a nominal rate, as for MJPEG over HTTP."""
        return self._stated.untimed

    @property
    def time_base(self) -> Fraction:
        return self._stated.time_base

    @property
    def rate(self) -> Fraction:
        """Average frames per second, without those that --every leaves out."""
        return self._stated.rate / self._selection.every

    @property
    def expected_frames(self) -> int | None:
        return self._stated.selected_frames(self._selection)

    def frames(self) -> Iterator[SourceFrame]:
        """The selected frames. Times count from --start. Raises InputError if the source has no frame at all."""
        wanted = self._selection
        waiting: SourceFrame | None = None
        given = seen = 0
        end = Fraction(0)
        self._decoder = self._new_decoder()
        for item in self._numbered():
            time, seen = item.timed.time, seen + 1
            past = wanted.end is not None and time >= wanted.end - self._rounding
            if not past and (time < wanted.start - self._rounding or item.index % wanted.every):
                end = time + (item.timed.duration or self._step)
                continue
            if waiting is not None:
                until = time if wanted.end is None else min(time, wanted.end)
                yield replace(waiting, duration=until - wanted.start - waiting.time)
                waiting = None
            if past or given == wanted.max_frames:
                if not self.live:
                    self._read_sound_until(time if wanted.end is None else min(time, wanted.end))
                break
            waiting = self._converted(item)
            end = time + (item.timed.duration or self._step)
            given += 1
            if self.live:  # waiting for the next frame would delay this one
                yield waiting
                waiting = None
        else:
            self.exhausted = True
        if waiting is not None:
            end = self._stated_end() or end
            end = end if wanted.end is None else min(end, wanted.end)
            end = max(end, waiting.time + wanted.start)
            yield replace(waiting, duration=end - wanted.start - waiting.time)
        self._conclude(given, seen)

    def _stated_end(self) -> Fraction | None:
        """When the last frame ends by the index of MP4 or AVI, which has it where B-frames do not come last."""
        stream, decoder = self._stream, self._decoder
        complete = self.exhausted and 0 < stream.frames <= decoder.packets and decoder.stopped is None
        if not complete or not stream.duration or len(self.timeline.offsets) > 1:
            return None
        return ((stream.start_time or 0) + stream.duration) * self.time_base - self.timeline.origin

    def _numbered(self) -> Iterator[NumberedFrame]:
        """All frames, or those from --start on, with their numbers."""
        if self._selection.start and is_seekable(self._source):
            first = True
            for item in self._after_skip():
                yield item
                first = False
            if not first:
                return
        for index, timed in enumerate(self._timed()):
            yield NumberedFrame(timed, index)

    def _find_skip(self) -> Skip | None:
        from av.error import FFmpegError

        if self.untimed:
            return None
        container = open_container(self._source, None, self._timeout)
        try:
            stream = choose_stream(container, self._source)
            return find_skip(container, stream, self._selection.start + self.timeline.origin)
        except (FFmpegError, OSError):  # decoding will say it
            return None
        finally:
            container.close()

    def _after_skip(self) -> Iterator[NumberedFrame]:
        """The frames from --start on, without decoding all before; none, and a new start, if that cannot be done."""
        start = self._selection.start
        skip = self._find_skip()
        if skip is None:
            return
        self._settle_origin(skip.times[0] * self.time_base)
        index, decoded = None, 0
        for timed in self._timed(skip.packets):
            if index is not None:
                index += 1
                yield NumberedFrame(timed, index)
            elif timed.time >= start - self._rounding:
                index = skip.number_of(timed.frame.pts, decoded)
                if index is None:
                    self._reopen()
                    return
                self._decoder.damaged = 0  # of images before the start, whose references were skipped
                yield NumberedFrame(timed, index)
            elif timed.frame.pts is not None and timed.frame.pts >= skip.first:
                decoded += 1

    def _reopen(self) -> None:
        """Starts again at the beginning. What the sound refers to stays open."""
        if self._sound is not None:
            self._sound.clear()
        self._open()
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> Decoder:
        times = PacketTimes(self.time_base, self.untimed, self._step)
        feed = None if self._sound is None else SoundFeed(self._sound, self.timeline, self._selection.start)
        packets = self._container.demux() if self._packets is None else iter(self._packets)
        return Decoder(packets, self._stream, times, feed)

    def _timed(self, skipped: int = 0) -> Iterator[TimedFrame]:
        return spread(self._placed(skipped), self._step)

    def _placed(self, skipped: int) -> Iterator[TimedFrame]:
        first = not skipped
        for frame, source_time, duration in self._decoder.frames(skipped):
            if first and source_time is not None:
                self._settle_origin(source_time)
            first = False
            yield TimedFrame(frame, self.timeline.place(source_time, duration), duration)

    def _settle_origin(self, first: Fraction) -> None:
        """The origin is not after the first frame, whatever the container says."""
        self.timeline.origin = min(self.timeline.origin, first)

    def _converted(self, item: NumberedFrame) -> SourceFrame:
        from av.error import FFmpegError

        frame = item.timed.frame
        try:
            turn = self._orientation(frame)
            image = turn.applied(self._to_bgr(frame))
        except (FFmpegError, ValueError, MemoryError) as error:
            raise InputError(
                f"{self.name}: frame {item.index} ({frame.width}x{frame.height}, {frame.format.name}) cannot be "
                f"converted: {getattr(error, 'strerror', None) or error}"
            ) from error
        coded = self._stream.codec_context.sample_aspect_ratio
        stated = self._stream.sample_aspect_ratio if coded == self._coded_aspect else coded  # it changed
        aspect = pixel_aspect(stated, turn.transposed)
        time = max(Fraction(0), item.timed.time - self._selection.start)
        return SourceFrame(image, item.index, time, f"{self.stem}_{item.index:06d}", pixel_aspect=aspect)

    def _orientation(self, frame: VideoFrame) -> Orientation:
        if frame.rotation not in self._orientations:
            self._orientations[frame.rotation] = orientation(frame)
        return self._orientations[frame.rotation]

    def _read_sound_until(self, end: Fraction) -> None:
        if isinstance(self._pipe, Pipe):
            self._pipe.hurry()
        self._decoder.read_sound_until(end)

    def _conclude(self, given: int, seen: int) -> None:
        """Raises InputError if no frame was given; adds what was missing to the problems."""
        if self._stopped:  # what is missing was not wanted
            return
        decoder = self._decoder
        if given == 0:
            if seen:
                raise InputError(f"{self.name} has no frame between --start and --end")
            if self._selection.start and decoder.stopped is None and not decoder.damaged:
                raise InputError(f"{self.name} has no frame after --start")
            why = f": {decoder.stopped}" if decoder.stopped else ""
            if isinstance(self._pipe, Pipe):
                why += f"; {PIPE_HINT}"
            raise InputError(f"{self.name} has no frame that can be decoded{why}")
        fault = find_fault(self._container, self._stream, decoder, self.timeline, whole=self.exhausted)
        if fault is not None:
            self._problems.append(f"{self.name} {fault}")
        hdr = hdr_name(int(self._stream.codec_context.color_trc))
        if hdr is not None and not converts_hdr():
            self._problems.append(
                f"{self.name} is HDR ({hdr}), which this PyAV cannot convert, so colours are pale; "
                "pip install --upgrade 'av>=17'"
            )

    def stop(self) -> None:
        """Ends a pipe that is being read, from any thread: `frames` ends there, even where it waits for data."""
        self._stopped = True
        if isinstance(self._pipe, Pipe):
            self._pipe.stop()

    def close(self) -> None:
        for container in self._containers:
            container.close()
        if self._pipe is not None:
            self._pipe.close()

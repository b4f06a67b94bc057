"""Video of the rendered frames, playable in a browser, with the input's sound: H.264, VP9, or an animated GIF."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Frame, Size
from hyperseg_runtime.video import gif
from hyperseg_runtime.video.colour import colour_tags, letterboxed, to_yuv420p
from hyperseg_runtime.video.formats import FORMATS, Options
from hyperseg_runtime.video.sound import Sound
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_FINEST_TIME_BASE, _COARSEST_TIME_BASE = Fraction(1, 100_000_000), Fraction(1, 90_000)


class VideoWriter:
    """Writes a draft and renames it on `close`; `abort` leaves nothing behind.

    The suffix says the format (`FORMATS`). Frames keep their times, so variable frame rates are preserved; `GifFrames`
    says what a GIF can keep. yuv420p has even sizes: an odd width or height is padded by repeating its last column or
    row.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        rate: Fraction,
        time_base: Fraction,
        *,
        pixel_aspect: Fraction = Fraction(1),
        sound: SoundTrack | None = None,
        selection: Selection | None = None,
    ) -> None:
        """Raises OutputError.

        time_base: the unit of the frames' times, in seconds. pixel_aspect: width of a pixel by its height.
        sound: what to carry over, cut to `selection` as the frames are.
        """
        import av

        self._path, self._draft = path, Draft(path)
        self._format = FORMATS[path.suffix.lower()]
        if self._format.container == "gif":  # viewers ignore its pixel aspect
            size, pixel_aspect = (size[0], max(1, round(size[1] * pixel_aspect))), Fraction(1)
        self._size, self._pixel_aspect = size, pixel_aspect
        encoder = self._format.video_encoder()
        self._gif = gif.GifFrames(size) if self._format.container == "gif" else None
        self._time_base = _fine(time_base) if self._gif is None else gif.TIME_BASE
        self._last_pts = -1
        self._durations: dict[int, int] = {}
        self._sound: Sound | None = None
        try:
            self._container = av.open(
                str(self._draft.path), mode="w", format=self._format.container, options=dict(self._format.options)
            )
        except OSError as error:
            raise write_error(path, error) from error
        try:
            self._stream = self._add_stream(rate, *encoder)
            if sound is not None:
                self._sound = Sound(sound, self._container, self._format, selection or Selection())
        except BaseException:
            self.abort()
            raise

    @property
    def notes(self) -> list[str]:
        """What the output does not have, one line each; complete after `close`."""
        return [] if self._sound is None else [f"{self._path}: {note}" for note in self._sound.notes]

    def _add_stream(self, rate: Fraction, encoder: str, options: Options) -> VideoStream:
        height, width = self._size
        stream = cast("VideoStream", self._container.add_stream(encoder, rate=rate, options=dict(options)))
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._pixel_aspect
        if self._gif is not None:
            stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
            return stream
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        standard, context.color_range = colour_tags(self._size)
        context.colorspace = context.color_primaries = context.color_trc = standard
        return stream

    def write(
        self, image: Frame, time: Fraction, duration: Fraction | None = None, pixel_aspect: Fraction | None = None
    ) -> None:
        """Adds an image shown from `time` seconds on, for `duration` seconds if it is the last. Raises OutputError.

        An image of another size is resized; one of another shape, `pixel_aspect` included, gets black bars.
        """
        from av.error import FFmpegError

        image = self._fitted(image, pixel_aspect or self._pixel_aspect)
        try:
            for frame in [self._yuv(image, time)] if self._gif is None else self._gif.frames(image, time):
                if duration is not None and frame.pts is not None:
                    self._durations[frame.pts] = max(1, round(duration / self._time_base))
                self._mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.advance(time)
        except (FFmpegError, OSError) as error:
            raise write_error(self._path, error) from error

    def _yuv(self, image: Frame, time: Fraction) -> VideoFrame:
        frame = to_yuv420p(image, self._size)
        frame.pts = self._last_pts = max(round(time / self._time_base), self._last_pts + 1)
        frame.time_base = self._time_base
        return frame

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        """Containers take each frame's duration from the next one's time, and the last one's from its packet."""
        for packet in packets:
            duration = self._durations.pop(packet.pts, None) if packet.pts is not None else None
            if duration is not None:
                packet.duration = duration if self._gif is None else min(duration, gif.LONGEST)
            self._container.mux(packet)

    def _fitted(self, image: Frame, pixel_aspect: Fraction) -> Frame:
        if image.shape[:2] != self._size or pixel_aspect != self._pixel_aspect:
            image = letterboxed(image, self._size, pixel_aspect / self._pixel_aspect)
        height, width = self._size
        if self._gif is None and (height % 2 or width % 2):
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return image

    def close(self, end: Fraction | None = None) -> None:
        """Completes the file and gives it its name. `end`: time at which the sound stops; None: with its own end."""
        from av.error import FFmpegError

        try:
            self._mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.finish(end)
                self._sound.close()
            self._container.close()
            self._draft.publish()
        except (FFmpegError, OSError) as error:
            self.abort()
            raise write_error(self._path, error) from error
        except BaseException:  # a second Ctrl-C
            self.abort()
            raise

    def abort(self) -> None:
        """Discards what was written."""
        from av.error import FFmpegError

        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(FFmpegError, OSError, ValueError):
            self._container.close()
        self._draft.discard()


def _fine(time_base: Fraction) -> Fraction:
    """A whole fraction of the source's unit, so that its times stay exact, in which cuts and gaps are exact enough."""
    if time_base < _FINEST_TIME_BASE or time_base.denominator > 1 / _FINEST_TIME_BASE:
        return Fraction(1, 1_000_000)
    fine = time_base / math.ceil(time_base / _COARSEST_TIME_BASE)
    return fine if fine.denominator < 2**31 else Fraction(1, 1_000_000)  # an int in ffmpeg

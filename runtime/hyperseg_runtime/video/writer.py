"""Video of the rendered frames, playable in a browser, with the input's sound: H.264, VP9, or an animated GIF."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Frame, Size
from hyperseg_runtime.video import gif
from hyperseg_runtime.video.formats import FORMATS, Options
from hyperseg_runtime.video.sound import Sound
from hyperseg_runtime.video.sound_track import SoundTrack
from hyperseg_runtime.video.sources import Selection

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_HD_HEIGHT = 720
_BT709, _BT601, _LIMITED_RANGE = 1, 6, 1  # ffmpeg's AVCOL_* numbers, those of H.264's own tables


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
        sound: SoundTrack | None = None,
        selection: Selection | None = None,
    ) -> None:
        """sound: what to carry over, cut to `selection` as the frames are. Raises OutputError."""
        import av

        self._path, self._draft = path, Draft(path)
        self._size, self._time_base = size, time_base
        self._last_pts = -1
        self._sound: Sound | None = None
        self._format = FORMATS[path.suffix.lower()]
        self._gif = gif.GifFrames(size) if self._format.container == "gif" else None
        encoder = self._format.video_encoder()
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
        if self._gif is not None:
            stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
            stream.codec_context.time_base = gif.TIME_BASE
            return stream
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.color_range = _LIMITED_RANGE
        space = _BT709 if height >= _HD_HEIGHT else _BT601
        context.colorspace = context.color_primaries = context.color_trc = space
        return stream

    def write(self, image: Frame, time: Fraction) -> None:
        """Adds an image shown from `time` seconds on. An image of another size is resized. Raises OutputError."""
        from av.error import FFmpegError

        try:
            for frame in self._frames(image, time):
                self._container.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.advance(time)
        except (FFmpegError, OSError) as error:
            raise write_error(self._path, error) from error

    def _frames(self, image: Frame, time: Fraction) -> Iterable[VideoFrame]:
        if self._gif is not None:
            return self._gif.frames(self._fitted(image, 1), time)
        return [self._yuv(self._fitted(image, 2), time)]

    def _yuv(self, image: Frame, time: Fraction) -> VideoFrame:
        from av.video.frame import VideoFrame

        pts = max(round(time / self._time_base), self._last_pts + 1)
        self._last_pts = pts
        frame = VideoFrame.from_ndarray(image, format="bgr24")
        space = "ITU709" if self._size[0] >= _HD_HEIGHT else "ITU601"
        frame = frame.reformat(format="yuv420p", dst_colorspace=space, dst_color_range="MPEG")
        frame.pts, frame.time_base = pts, self._time_base
        return frame

    def _fitted(self, image: Frame, multiple: int) -> Frame:
        height, width = self._size
        if image.shape[:2] != self._size:
            image = np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8)
        if height % multiple or width % multiple:
            image = np.pad(image, ((0, height % multiple), (0, width % multiple), (0, 0)), mode="edge")
        return image

    def close(self, end: Fraction | None = None) -> None:
        """Completes the file and gives it its name. `end`: time at which the sound stops; None: with its own end."""
        from av.error import FFmpegError

        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.finish(end)
                self._sound.close()
            self._container.close()
            self._draft.publish()
        except (FFmpegError, OSError) as error:
            self.abort()
            raise write_error(self._path, error) from error

    def abort(self) -> None:
        """Discards what was written."""
        from av.error import FFmpegError

        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(FFmpegError, OSError, ValueError):
            self._container.close()
        self._draft.discard()

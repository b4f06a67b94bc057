"""A video of the rendered frames: H.264, yuv420p, playable in a browser."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.output_files import Draft, write_error
from hyperseg_runtime.preprocess import Frame, Size
from hyperseg_runtime.video.frames import Selection
from hyperseg_runtime.video.sound import Sound

if TYPE_CHECKING:
    from av.video.stream import VideoStream

ENCODER: Final = "libx264"
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_HD_HEIGHT = 720
_BT709, _BT601, _LIMITED_RANGE = 1, 6, 1  # ffmpeg's AVCOL_* numbers, those of H.264's own tables


class VideoWriter:
    """Writes beside the target and renames on `close`; `abort` leaves nothing behind.

    Frames keep their times, so variable frame rates stay as they are. H.264 in yuv420p has even sizes: an odd width or
    height is padded by repeating its last column or row.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        rate: Fraction,
        time_base: Fraction,
        *,
        sound_from: str | None = None,
        selection: Selection | None = None,
    ) -> None:
        """sound_from: the file whose sound to carry over, cut like the pictures to `selection`. Raises OutputError."""
        import av
        from av.codec.codec import UnknownCodecError

        self._path, self._draft = path, Draft(path)
        self._size, self._time_base = size, time_base
        self._last_pts = -1
        suffix = path.suffix.lower()
        self._sound: Sound | None = None
        try:
            options = {"movflags": "faststart"} if suffix != ".mkv" else {}
            self._container = av.open(str(self._draft.path), mode="w", format=FORMATS[suffix], options=options)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            self._stream = self._add_stream(rate)
            if sound_from is not None:
                self._sound = Sound(sound_from, self._container, selection or Selection())
        except UnknownCodecError as error:
            self.abort()
            raise OutputError(
                f"this PyAV has no {ENCODER} to write H.264 with; pip install av (its wheels have)"
            ) from error
        except BaseException:
            self.abort()
            raise

    def _add_stream(self, rate: Fraction) -> VideoStream:
        height, width = self._size
        # The encoder shares the CPU with the network: ultrafast takes a third of superfast's time, and at this
        # constant rate factor no more bytes than superfast at 20.
        stream = self._container.add_stream(ENCODER, rate=rate, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.color_range = _LIMITED_RANGE
        space = _BT709 if height >= _HD_HEIGHT else _BT601
        context.colorspace = context.color_primaries = context.color_trc = space
        return stream

    def write(self, picture: Frame, time: Fraction) -> None:
        """Adds a picture shown from `time` seconds on. A picture of another size is resized. Raises OutputError."""
        from av.error import FFmpegError
        from av.video.frame import VideoFrame

        pts = max(round(time / self._time_base), self._last_pts + 1)
        self._last_pts = pts
        frame = VideoFrame.from_ndarray(self._fitted(picture), format="bgr24")
        space = "ITU709" if self._size[0] >= _HD_HEIGHT else "ITU601"
        frame = frame.reformat(format="yuv420p", dst_colorspace=space, dst_color_range="MPEG")
        frame.pts, frame.time_base = pts, self._time_base
        try:
            self._container.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.advance(time)
        except (FFmpegError, OSError) as error:
            raise write_error(self._path, error) from error

    def _fitted(self, picture: Frame) -> Frame:
        height, width = self._size
        if picture.shape[:2] != self._size:
            picture = np.asarray(cv2.resize(picture, (width, height)), dtype=np.uint8)
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return picture

    def close(self, end: Fraction | None = None) -> None:
        """Finishes the file and gives it its name. `end`: where the sound stops, None: with its own end."""
        from av.error import FFmpegError

        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.advance(end)
                self._sound.close()
            self._container.close()
            self._draft.publish()
        except (FFmpegError, OSError) as error:
            self.abort()
            raise write_error(self._path, error) from error

    def abort(self) -> None:
        """Throws away what was written."""
        from av.error import FFmpegError

        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(FFmpegError, OSError, ValueError):
            self._container.close()
        self._draft.discard()

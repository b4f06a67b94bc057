"""Frames of an animated GIF: 256 colours each, shown at multiples of 1/100 s."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from hyperseg_runtime.preprocess import Frame, Size

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

TIME_BASE: Final = Fraction(1, 100)
_SHORTEST = 2
"""Delay between frames; browsers show shorter ones for 1/10 s."""
LONGEST = 60_000
"""A delay is stored in 16 bits."""


class GifFrames:
    """Gives each image its own palette, so that memory does not grow with the number of images.

    A frame's time is rounded, not its delay, so that rounding does not add up. Frames that would be shown for less than
    1/50 s are left out.
    """

    def __init__(self, size: Size) -> None:
        self._graph = _palette_graph(size)
        self._last: tuple[Frame, int] | None = None

    def frames(self, image: Frame, time: Fraction) -> Iterator[VideoFrame]:
        """The frames to encode for an image, uint8 BGR [h, w, 3], that is shown from `time` seconds on.

        There is none, one, or several where the image before is shown longer than a single delay can say.
        """
        pts = 0 if self._last is None else round(time / TIME_BASE)  # a GIF begins with its first frame
        if self._last is not None:
            before, shown = self._last
            while pts - shown > LONGEST:
                shown += LONGEST
                yield from self._converted(before, shown)
            if pts - shown < _SHORTEST:
                return
        self._last = np.array(image), pts
        yield from self._converted(image, pts)

    def _converted(self, image: Frame, pts: int) -> Iterator[VideoFrame]:
        from av.error import FFmpegError
        from av.video.frame import VideoFrame

        frame = VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = pts, TIME_BASE
        self._graph.push(frame)
        while True:
            try:
                piece = self._graph.pull()
            except FFmpegError as error:
                if error.errno == errno.EAGAIN:
                    return
                raise
            assert isinstance(piece, VideoFrame)
            yield piece


def _palette_graph(size: Size) -> Graph:
    """bgr24 to pal8. Ordered dithering does not flicker from frame to frame, as error diffusion does."""
    from av.filter import Graph

    height, width = size
    graph = Graph()
    source = graph.add(
        "buffer", video_size=f"{width}x{height}", pix_fmt="bgr24", time_base=str(TIME_BASE), pixel_aspect="1/1"
    )
    both = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single")
    used = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
    sink = graph.add("buffersink")
    source.link_to(both)
    both.link_to(palette, 0, 0)
    both.link_to(used, 1, 0)
    palette.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    return graph

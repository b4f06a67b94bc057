"""Colour and geometry of decoded frames: matrix, range, transfer, rotation, aspect ratio; and of encoded ones."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from hyperseg_runtime.preprocess import Frame, Size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# FFmpeg's numbers, AVCOL_* those of the tables of H.264 and H.273, SWS_CS_* those of swscale.
_LIMITED, _FULL = 1, 2
_BT709, _BT601, _BT2020 = 1, 6, 9
_RESERVED: Final = (0, 3)
_SWS_BT709, _SWS_BT601 = 1, 5
_MATRICES: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""From AVCOL_SPC_* to SWS_CS_*: BT.709, FCC, BT.601 (625 and 525 lines), SMPTE 240M, BT.2020."""
_HDR: Final = {16: "PQ", 18: "HLG"}
_HD_HEIGHT, _HD_WIDTH = 720, 1280
_GREATEST_ASPECT: Final = 16
_NEARLY: Final = 0.01
"""Share of the size up to which another shape is taken for rounding, and no bars are added."""


class BgrConverter:
    """Converts decoded frames to uint8 [h, w, 3] BGR; chroma is interpolated, alpha is dropped.

    Untagged frames are read as players do: HD as BT.709, smaller ones as BT.601, limited range unless the pixel format
    is full-range. HDR is converted to BT.709 where PyAV can (`converts_hdr`), with diffuse white, 203 cd/m² (BT.2408),
    as white.
    """

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()  # one for all frames, since it builds tables for HDR in a second

    def __call__(self, frame: VideoFrame) -> Frame:
        """Raises FFmpegError, ValueError, MemoryError."""
        hdr = {}
        if getattr(frame, "color_trc", 0) in _HDR:
            hdr = {"dst_color_trc": _BT709, "dst_color_primaries": _BT709}
            if frame.color_primaries in _RESERVED:
                frame.color_primaries = _BT2020
        matrix = _matrix(frame)
        converted = self._reformatter.reformat(
            frame,
            format="bgr24",
            src_colorspace=matrix,
            dst_colorspace=matrix if frame.format.is_rgb else _other_than(matrix),
            src_color_range=_range(frame),
            dst_color_range=_FULL,
            interpolation="BICUBIC",
            **hdr,
        )
        return np.asarray(converted.to_ndarray(), dtype=np.uint8)


def hdr_name(transfer: int) -> str | None:
    """Name of a high-dynamic-range transfer characteristic (AVCOL_TRC_*); None for others."""
    return _HDR.get(transfer)


def converts_hdr() -> bool:
    """Whether this PyAV converts transfer characteristics (17 and later)."""
    from av.video.frame import VideoFrame

    return hasattr(VideoFrame, "color_trc")


def _matrix(frame: VideoFrame) -> int:
    hd = frame.height >= _HD_HEIGHT or frame.width >= _HD_WIDTH
    return _MATRICES.get(int(frame.colorspace), _SWS_BT709 if hd else _SWS_BT601)


def _other_than(matrix: int) -> int:
    """PyAV before 17 ignores the source's matrix where matrix and range do not differ from RGB's, which has none."""
    return _SWS_BT601 if matrix == _SWS_BT709 else _SWS_BT709


def _range(frame: VideoFrame) -> int:
    if frame.format.is_rgb:
        return _FULL
    if frame.color_range:
        return int(frame.color_range)
    # swscale's own rule: these formats are full-range.
    return _FULL if frame.format.name.startswith(("yuvj", "gray", "ya")) else _LIMITED


@dataclass(frozen=True)
class Orientation:
    """How decoded images are to be shown: transposed, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    def applied(self, image: Frame) -> Frame:
        """uint8 [h, w, 3], upright."""
        if self == Orientation():
            return image
        turned = image.transpose(1, 0, 2) if self.transposed else image
        return np.ascontiguousarray(turned[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1])


def orientation(frame: VideoFrame) -> Orientation:
    """That of the frame's display matrix, rounded to quarter turns.

    Not for every frame: PyAV's frames whose side data were read stay in memory until Python collects cycles.
    """
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return Orientation()
    matrix = bytes(side_data)  # type: ignore[call-overload]  # a buffer, which its stub does not say
    across_x, down_x, _, across_y, down_y = struct.unpack_from("=5i", matrix)
    if abs(down_x) > abs(across_x):
        return Orientation(True, across_y < 0, down_x < 0)
    return Orientation(False, across_x < 0, down_y < 0)


def pixel_aspect(stated: Fraction | None, turned: bool) -> Fraction:
    """Width of a pixel by its height in the upright image; 1 if not stated, or not credible."""
    if stated is None or not Fraction(1, _GREATEST_ASPECT) <= stated <= _GREATEST_ASPECT:
        return Fraction(1)
    stated = Fraction(stated).limit_denominator(255)
    return 1 / stated if turned else stated


def letterboxed(image: Frame, size: Size, pixel_aspect: Fraction) -> Frame:
    """Resizes to `size`; black bars fill it where the shape differs. pixel_aspect: of `image` in pixels of `size`."""
    height, width = size
    shown = image.shape[1] * pixel_aspect
    scale = min(width / shown, Fraction(height, image.shape[0]))
    fitted = max(1, round(image.shape[0] * scale)), max(1, round(shown * scale))
    if height - fitted[0] <= height * _NEARLY and width - fitted[1] <= width * _NEARLY:
        fitted = size
    shrinks = fitted[0] <= image.shape[0] and fitted[1] <= image.shape[1]
    by = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # by area, enlarged images are blocky
    resized = np.asarray(cv2.resize(image, fitted[::-1], interpolation=by), dtype=np.uint8)
    if fitted == size:
        return resized
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - fitted[0]) // 2, (width - fitted[1]) // 2
    canvas[top : top + fitted[0], left : left + fitted[1]] = resized
    return canvas


def to_yuv420p(image: Frame, size: Size) -> VideoFrame:
    """Encoder's input from uint8 [h, w, 3] BGR: limited range, the matrix of `colour_tags(size)`."""
    from av.video.frame import VideoFrame

    frame = VideoFrame.from_ndarray(image, format="bgr24")
    matrix = _SWS_BT709 if size[0] >= _HD_HEIGHT else _SWS_BT601
    return frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=_LIMITED)


def colour_tags(size: Size) -> tuple[int, int]:
    """(matrix, primaries and transfer: AVCOL_* of one standard; range) of an encoded video."""
    return _BT709 if size[0] >= _HD_HEIGHT else _BT601, _LIMITED

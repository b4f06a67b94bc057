"""Image files: read upright as uint8 BGR; those that are damaged, cut off or too large are one clear line."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.media import GIF, HEIF, PNG, MediaType, media_type
from hyperseg_runtime.preprocess import Frame
from hyperseg_runtime.video.heif import read_heif

_MAX_BYTES = 1 << 31
"""OpenCV counts the bytes of a file in an int."""
_MAX_PNG_SIDE = 1_000_000
"""libpng's limit (png_set_user_limits), beyond which it prints lines of its own."""


def read_image(path: Path) -> Frame:
    """uint8 [h, w, 3] BGR, upright by its EXIF rotation; grey, 16-bit and alpha are converted. Raises InputError."""
    try:
        size = path.stat().st_size
        if size >= _MAX_BYTES:
            raise InputError(f"{path} has {size / (1 << 30):.1f} GiB, more than any image that OpenCV reads")
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if content.size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    head = content[:16].tobytes()
    if HEIF.signature.match(head):
        return read_heif(path, content.tobytes())
    if PNG.signature.match(head):
        _check_png(path, content.data)
    if GIF.signature.match(head) and not _is_whole_gif(content.data):
        raise InputError(f"{path} is truncated or damaged")  # what is there of it would be read as an image
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        raise _not_decoded(path, error) from error
    if image is not None:
        return np.asarray(image, dtype=np.uint8)
    known = media_type(path)
    if known is None or (known.always_readable and not known.signature.match(head)):
        raise InputError(f"{path} is not an image, or it is damaged")
    return _by_ffmpeg(path, known)


def _not_decoded(path: Path, error: cv2.error | MemoryError) -> InputError:
    reason = getattr(error, "err", "") or str(error)
    if "CV_IO_MAX_IMAGE" in reason:
        return InputError(
            f"{path} is larger than OpenCV reads (2^30 pixels, 2^20 a side); scale it down, or cut it into tiles"
        )
    if isinstance(error, MemoryError) or error.code == cv2.Error.STS_NO_MEM:
        return InputError(f"there is not enough memory to read {path}; scale it down, or cut it into tiles")
    return InputError(f"{path} is damaged, or OpenCV cannot read it ({reason}); convert it to PNG or JPEG")


def _check_png(path: Path, content: memoryview) -> None:
    """Raises InputError for what libpng would print lines of its own about."""
    if not _is_whole_png(content):
        raise InputError(f"{path} is truncated or damaged")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if not (width > 0 and height > 0 and bytes(content[12:16]) == b"IHDR"):
        raise InputError(f"{path} is damaged: it has {width}x{height} pixels")
    if max(width, height) > _MAX_PNG_SIDE:
        raise InputError(
            f"{path} has {width}x{height} pixels; OpenCV reads PNG files of {_MAX_PNG_SIDE} pixels a side at most"
        )


def _is_whole_png(content: memoryview) -> bool:
    """Whether all chunks are there and have their checksums (PNG specification, third edition, section 5)."""
    at = 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if int.from_bytes(content[end : end + 4], "big") != zlib.crc32(content[at + 4 : end]):
            return False
        if bytes(content[at + 4 : at + 8]) == b"IEND":
            return True
        at = end + 4
    return False


def _is_whole_gif(content: memoryview) -> bool:
    """Whether all blocks are there, up to the trailer (GIF89a specification, sections 17 to 27)."""
    try:
        at = 13 + _gif_colours(content[10])
        while content[at] != 0x3B:
            if content[at] == 0x2C:  # an image, its colours, and the size of its codes
                at += 11 + _gif_colours(content[at + 9])
            elif content[at] == 0x21:  # an extension and its label
                at += 2
            else:
                return False
            while content[at]:
                at += 1 + content[at]
            at += 1
    except IndexError:
        return False
    return True


def _gif_colours(flags: int) -> int:
    """The bytes of a colour table."""
    return 6 << (flags & 7) if flags & 0x80 else 0


def _by_ffmpeg(path: Path, known: MediaType) -> Frame:
    """An image of a format that this OpenCV does not read: the first frame that FFmpeg finds."""
    import av
    from av.error import FFmpegError

    av.logging.set_level(None)
    try:
        if not known.always_readable:
            with av.open(f"file:{path.absolute()}") as container:
                stream = container.streams.video[0]
                if stream.codec_context is not None:  # decoding without one would crash PyAV 14
                    frame = next(container.decode(stream))
                    return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    except (FFmpegError, StopIteration, IndexError, ValueError):
        pass
    raise InputError(
        f"{path} is damaged, or a kind of {known.name} that is not read here; convert it to PNG or JPEG of 8 bits"
    )

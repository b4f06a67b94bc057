"""Types of media files: one table of kinds, suffixes and signatures.

A file's content decides, and its suffix only where the content is not recognised: cameras, phones and web sites name
files wrongly, and FFmpeg opens an image as a video of one frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The formats that results are written in."""


class Kind(Enum):
    """The kinds of input."""

    IMAGE = "image"
    VIDEO = "video"
    PIPE = "pipe"
    """A video from standard input or a named pipe: read once, from its beginning."""
    STREAM = "stream"
    CAMERA = "camera"


@dataclass(frozen=True)
class MediaType:
    """A file format."""

    name: str
    kind: Kind
    suffixes: tuple[str, ...]
    signature: re.Pattern[bytes]
    """Matches the beginning of such files."""

    @property
    def always_readable(self) -> bool:
        """Whether every OpenCV reads such images."""
        return bool(set(self.suffixes) & set(IMAGE_SUFFIXES))


def _type(name: str, kind: Kind, suffixes: str, signature: bytes) -> MediaType:
    return MediaType(name, kind, tuple(suffixes.split()), re.compile(signature, re.DOTALL))


PNG = _type("PNG", Kind.IMAGE, ".png", rb"\x89PNG\r\n\x1a\n")
JPEG = _type("JPEG", Kind.IMAGE, ".jpg .jpeg .jpe .jfif", rb"\xff\xd8\xff")
WEBP = _type("WebP", Kind.IMAGE, ".webp", rb"RIFF....WEBP")
# ISO/IEC 23008-12: image files share the box structure of MP4; the brand tells them apart.
HEIF = _type(
    "HEIF",
    Kind.IMAGE,
    ".heic .heif .hif .avif .avifs",
    rb"....ftyp(avif|avis|heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif1|msf1|miaf)",
)
GIF = _type("GIF", Kind.IMAGE, ".gif", rb"GIF8[79]a")
ANIMATED_GIF = _type("animated GIF", Kind.VIDEO, "", rb"GIF8[79]a")
ANIMATED_PNG = _type("animated PNG", Kind.VIDEO, ".apng", rb"\x89PNG\r\n\x1a\n")
MOTION_JPEG = _type("Motion JPEG", Kind.VIDEO, ".mjpeg .mjpg", rb"\xff\xd8\xff")

_TYPES = (
    PNG,
    JPEG,
    WEBP,
    HEIF,
    GIF,
    _type("BMP", Kind.IMAGE, ".bmp .dib", rb"BM....\0\0\0\0"),
    _type("TIFF", Kind.IMAGE, ".tif .tiff", rb"II[*+]\0|MM\0[*+]"),
    _type("JPEG 2000", Kind.IMAGE, ".jp2", rb"\0\0\0\x0cjP  \r\n\x87\n"),
    _type("JPEG XL", Kind.IMAGE, ".jxl", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    _type("Netpbm", Kind.IMAGE, ".ppm .pgm .pbm .pnm", rb"P[1-6]\s+(#[^\n]*\s+)*\d+\s"),
    _type("QOI", Kind.IMAGE, ".qoi", rb"qoif"),
    _type("DDS", Kind.IMAGE, ".dds", rb"DDS "),
    _type("Photoshop", Kind.IMAGE, ".psd", rb"8BPS\0\x01"),
    _type("Radiance HDR", Kind.IMAGE, ".hdr", rb"#\?(RADIANCE|RGBE)\n"),
    _type("icon", Kind.IMAGE, ".ico", rb"\0\0\x01\0[^\0]\0"),
    _type("PCX", Kind.IMAGE, ".pcx", rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]"),
    # TGA has no signature.
    _type("TGA", Kind.IMAGE, ".tga", rb"(?!)"),
    ANIMATED_PNG,
    MOTION_JPEG,
    _type(
        "MP4", Kind.VIDEO, ".mp4 .m4v .mov .qt .3gp .3g2 .f4v", rb"....(ftyp(?!M4[AB] |crx )|moov|mdat|wide|free|skip)"
    ),
    _type("Matroska", Kind.VIDEO, ".mkv .webm .mk3d", rb"\x1aE\xdf\xa3"),
    _type("AVI", Kind.VIDEO, ".avi .divx", rb"RIFF....AVI "),
    _type("MPEG-TS", Kind.VIDEO, ".ts .mts .m2ts .m2t .tp", rb"\x47.{187}\x47.{187}\x47|.{4}\x47.{191}\x47.{191}\x47"),
    _type("MPEG", Kind.VIDEO, ".mpg .mpeg .mpe .vob .m1v .m2v", rb"\0\0\x01[\xba\xb3]"),
    _type("ASF", Kind.VIDEO, ".wmv .asf", rb"0&\xb2u\x8ef\xcf\x11"),
    _type("Flash video", Kind.VIDEO, ".flv", rb"FLV\x01"),
    _type("Ogg", Kind.VIDEO, ".ogv .ogm", rb"OggS"),
    _type("YUV4MPEG2", Kind.VIDEO, ".y4m", rb"YUV4MPEG2 "),
    _type("IVF", Kind.VIDEO, ".ivf", rb"DKIF"),
    _type("H.264", Kind.VIDEO, ".h264 .264 .avc", rb"\0\0\0?\x01[\x67\x27\x09]"),
    _type("H.265", Kind.VIDEO, ".h265 .265 .hevc", rb"\0\0\0?\x01[\x40\x42\x46]\x01"),
    _type("MXF", Kind.VIDEO, ".mxf", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01"),
    _type("RealMedia", Kind.VIDEO, ".rm .rmvb", rb"\.RMF"),
    _type("DV", Kind.VIDEO, ".dv", rb"\x1f\x07\0"),
    _type("NUT", Kind.VIDEO, ".nut", rb"nut/multimedia container"),
)
_BY_SUFFIX = {suffix: media for media in _TYPES for suffix in media.suffixes}

_SOUND = (".m4a", ".m4b", ".mka", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".wav", ".flac", ".aac", ".wma")
RAW_PHOTOS = (".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
"""TIFF or MP4 inside, from which OpenCV would read a thumbnail."""
DRAWINGS = (".pdf", ".svg", ".svgz", ".eps", ".ps", ".ai")
"""Documents and vector graphics, from which FFmpeg would read the first image within."""
_ALSO_SOURCE_CODE = frozenset({".ts", ".mts"})
_APPLE_DOUBLE = b"\0\x05\x16\x07"
_HEAD_BYTES = 4096


def is_apple_double(path: Path) -> bool:
    """Whether this is a companion file (`._NAME`) that macOS writes on foreign file systems. Raises OSError."""
    return path.name.startswith("._") and _head(path).startswith(_APPLE_DOUBLE)


def media_type(path: Path) -> MediaType | None:
    """The type of a regular file; None where it is neither an image nor a video."""
    suffix = path.suffix.lower()
    if suffix in _SOUND or suffix in RAW_PHOTOS:
        return None
    by_suffix = _BY_SUFFIX.get(suffix)
    try:
        head = _head(path)
    except OSError:
        return by_suffix  # whoever reads it names the fault
    by_content = next((media for media in _TYPES if media.signature.match(head)), None)
    if by_content is not None:
        return _refined(by_content, by_suffix, head, path)
    text = not re.search(rb"[\0-\x08\x0e-\x1f\x80-\xff]", head)
    return None if suffix in _ALSO_SOURCE_CODE and text else by_suffix


def _refined(by_content: MediaType, by_suffix: MediaType | None, head: bytes, path: Path) -> MediaType:
    """Tells a film from an image of the same signature."""
    if by_content is PNG and _animated_png(head):
        return ANIMATED_PNG
    if by_content is GIF and _several_frames(path):
        return ANIMATED_GIF
    if by_content is JPEG and by_suffix is MOTION_JPEG:
        return MOTION_JPEG
    return by_content


def has_media_name(path: Path) -> bool:
    """Whether the name is that of an image or a video."""
    return path.suffix.lower() in _BY_SUFFIX


def takes_first_image_only(path: Path) -> bool:
    """Whether the file is an animated WebP or AVIF, which is read as an image: its first. Raises OSError."""
    head = _head(path)
    if WEBP.signature.match(head):
        return head[12:16] == b"VP8X" and bool(head[20] & 2)  # the container's animation flag
    return head[4:12] == b"ftypavis"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _animated_png(head: bytes) -> bool:
    at = head.find(b"acTL")
    return at > 0 and b"IDAT" not in head[:at] and int.from_bytes(head[at + 4 : at + 8], "big") > 1


def _several_frames(path: Path) -> bool:
    import av
    from av.error import FFmpegError

    av.logging.set_level(None)
    try:
        with av.open(f"file:{path.absolute()}") as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            return next(packets, None) is not None and next(packets, None) is not None
    except (FFmpegError, IndexError):
        return False  # damaged; reading it as an image names the fault

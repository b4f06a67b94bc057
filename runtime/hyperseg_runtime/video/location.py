"""What FFmpeg is given to open: a URL as it stands, any path of the file system as a `file:` URL."""

from __future__ import annotations

import os
import re
from typing import Final

STANDARD_INPUT = "-"
_LIVE_SCHEMES: Final = frozenset({"rtsp", "rtsps", "rtp", "udp", "srt", "rtmp", "rtmps", "tcp"})


def is_url(source: str) -> bool:
    """Whether `source` names a network stream, and not a file, standard input or a camera."""
    return "://" in source


def is_live_url(source: str) -> bool:
    """Whether the protocol of a URL sends what happens now, and nothing else."""
    return is_url(source) and source.split("://", 1)[0].lower() in _LIVE_SCHEMES


def ffmpeg_name(source: str | os.PathLike[str]) -> str:
    """The name under which FFmpeg opens `source`, a path or a URL.

    FFmpeg takes what stands before a colon for a protocol ("12:30:00.mp4"), and a leading dash for an option. After
    `file:` it takes every character as it is: percent signs are not decoded, question marks begin no query.
    """
    text = os.fspath(source)
    return text if is_url(text) else f"file:{os.path.abspath(text)}"  # noqa: PTH100  # resolve() would follow links


_HIDDEN: Final = "***"
_LONGEST_STEM: Final = 80
_SECRET_PARAMETER: Final = re.compile(
    r"(?i)([?&;](?:pass(?:word|wd|phrase)?|pwd|user(?:name)?|usr|login|auth|key|api_?key|(?:access_?)?token|secret|"
    r"sig(?:nature)?|session|credentials?)=)[^&;#]+"
)
"""Query parameters that cameras and services take credentials in."""


def url_stem(url: str) -> str:
    """A file-name stem for a stream: host, port and path of its URL, without user, password and query."""
    place = re.split("[?#]", displayed(url).split("://", 1)[-1], maxsplit=1)[0].removeprefix(f"{_HIDDEN}@")
    return re.sub("[^A-Za-z0-9._-]+", "-", place)[:_LONGEST_STEM].strip("-._") or "stream"


def displayed(source: str) -> str:
    """`source` for messages, records and files: a URL without its user, password and secret parameters."""
    if not is_url(source):
        return source
    scheme, rest = source.split("://", 1)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    at = authority.rfind("@")
    if at < 0 and ":" in authority and not authority.rpartition(":")[2].isdigit():
        at = rest.rfind("@")  # a password with an unescaped slash, which FFmpeg does not take either
    place = rest if at < 0 else _HIDDEN + rest[at:]
    return f"{scheme}://{_SECRET_PARAMETER.sub(_hide_value, place)}"


def _hide_value(match: re.Match[str]) -> str:
    return match[1] + _HIDDEN

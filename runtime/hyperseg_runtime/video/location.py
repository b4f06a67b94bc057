"""What FFmpeg is given to open: a URL as it stands, any path of the file system as a `file:` URL."""

from __future__ import annotations

import os

STANDARD_INPUT = "-"


def is_url(source: str) -> bool:
    """Whether `source` names a network stream, and not a file, standard input or a camera."""
    return "://" in source


def ffmpeg_name(source: str | os.PathLike[str]) -> str:
    """The name under which FFmpeg opens `source`, a path or a URL.

    FFmpeg takes what stands before a colon for a protocol ("12:30:00.mp4"), and a leading dash for an option. After
    `file:` it takes every character as it is: percent signs are not decoded, question marks begin no query.
    """
    text = os.fspath(source)
    return text if is_url(text) else f"file:{os.path.abspath(text)}"  # noqa: PTH100  # resolve() would follow links

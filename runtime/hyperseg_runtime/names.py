"""File names as text: one line to print, and valid Unicode in JSON."""

from __future__ import annotations

import os
import unicodedata

_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks of the writing direction, which would turn the rest of a line around."""


def shown(name: str | os.PathLike[str]) -> str:
    r"""Writes control characters, and bytes that are not valid UTF-8, as escapes (`\n`, `\xff`)."""
    return "".join(_escaped(letter) for letter in os.fspath(name))


def as_unicode(name: str | os.PathLike[str]) -> str:
    r"""Writes bytes that are not valid UTF-8 as escapes (`\xff`): many parsers refuse JSON with lone surrogates."""
    return "".join(_escaped_byte(letter) or letter for letter in os.fspath(name))


def _escaped_byte(letter: str) -> str | None:
    code = ord(letter)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else None  # surrogateescape (PEP 383)


def _escaped(letter: str) -> str:
    byte = _escaped_byte(letter)
    if byte is not None:
        return byte
    if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _DIRECTIONS:
        return letter.encode("unicode_escape").decode("ascii")
    return letter

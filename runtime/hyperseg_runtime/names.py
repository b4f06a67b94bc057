"""File names as text to print: one line, and valid in every encoding that can hold the rest."""

from __future__ import annotations

import os
import unicodedata


def shown(name: str | os.PathLike[str]) -> str:
    r"""Writes control characters, and bytes that are not valid UTF-8, as escapes (`\n`, `\xff`)."""
    return "".join(_escaped(letter) for letter in os.fspath(name))


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape (PEP 383): a byte of the name
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp"):
        return letter.encode("unicode_escape").decode("ascii")
    return letter

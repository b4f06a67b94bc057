"""Control characters in text that users and files give: names must have none, and messages write them out."""

from __future__ import annotations

import unicodedata


def is_plain(text: str) -> bool:
    """Whether text has no line breaks, no other control characters and no halves of surrogate pairs."""
    return not any(map(_is_control, text))


def escaped(text: str) -> str:
    r"""Text with control characters written out, as \x1b: a file name must not command the terminal it is shown in."""
    return "".join(ascii(letter)[1:-1] if _is_control(letter) else letter for letter in text)


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")

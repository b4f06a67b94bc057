"""Text in images: class names in any script where OpenCV has fonts for it (5.0 and newer), else in Latin letters."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from hyperseg_runtime.preprocess import Frame

ELLIPSIS = "..."
_WEIGHT = 450
_HERSHEY_UNIT = 30.0
"""Size of the text that OpenCV's stroke font has at scale 1, in pixels of `size` below."""
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "œ": "oe", "Œ": "Oe"}
    | {"þ": "th", "Þ": "Th", "ð": "d", "Ð": "D", "\u0131": "i", "\u2019": "'", "\u2013": "-", "\u2014": "-"}
)
"""Letters and marks that do not decompose into a Latin letter and an accent."""


@lru_cache(maxsize=1)
def _font() -> Any:
    """OpenCV's built-in TrueType font, or None before OpenCV 5: its older stroke fonts have ASCII only."""
    face = getattr(cv2, "FontFace", None)
    return None if face is None else face("sans")


@lru_cache(maxsize=4096)
def text_width(text: str, size: int) -> int:
    """Width of a line of text whose font has `size` pixels, in pixels."""
    font = _font()
    if font is None:
        return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size / _HERSHEY_UNIT, 1)[0][0])
    return int(cv2.getTextSize((0, 0), text, (0, 0), font, size, _WEIGHT)[2])


def draw_text(image: Frame, text: str, left: int, baseline: int, size: int, colour: tuple[int, int, int]) -> None:
    """Writes a line of text. colour: BGR."""
    font = _font()
    if font is None:
        stroke, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, size // 14)
        cv2.putText(image, text, (left, baseline), stroke, size / _HERSHEY_UNIT, colour, thickness, cv2.LINE_AA)
    else:
        cv2.putText(image, text, (left, baseline), colour, font, size, _WEIGHT)


def writable(name: str, otherwise: str) -> str:
    """The name as it can be written here: as it is, else without accents, else `otherwise`."""
    line = "".join(letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", name))
    line = " ".join(line.split())
    if line and all(map(_has_glyph, line)):
        return line
    latin = unicodedata.normalize("NFKD", line.translate(_LATIN))
    latin = "".join(letter for letter in latin if not unicodedata.combining(letter))
    return latin if latin and all(map(_has_glyph, latin)) else otherwise


@lru_cache(maxsize=4096)
def shortened(text: str, width: int, size: int) -> str:
    """The text, with its middle replaced by an ellipsis as far as `width` pixels demand; possibly the ellipsis alone.

    Names of one kind often differ only at the end.
    """
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text) - 1
    while low < high:  # the most letters that fit
        middle = (low + high + 1) // 2
        fits = text_width(_without_middle(text, middle), size) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return _without_middle(text, low)


def _without_middle(text: str, letters: int) -> str:
    end = letters * 2 // 5
    return text[: letters - end].rstrip() + ELLIPSIS + text[len(text) - end :].lstrip()


@lru_cache(maxsize=1024)
def _has_glyph(letter: str) -> bool:
    """False where OpenCV would write a question mark instead."""
    if letter.isascii():
        return True
    return _font() is not None and not np.array_equal(_drawn(letter), _drawn("?"))


def _drawn(letter: str) -> Frame:
    image = np.zeros((48, 96, 3), np.uint8)
    draw_text(image, letter, 16, 32, 24, (255, 255, 255))
    return image

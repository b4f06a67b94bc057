"""A sheet of overlays, to see whether labels lie where they should, with the classes' names in their colours."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hyperseg.classes import VOID, Classes, Colour
from hyperseg.data.check import CheckedImage, CheckedSplit
from hyperseg.data.reading import Pixels

IMAGES = 12
_COLUMNS, _CELL, _GAP, _LINE = 4, (270, 360), 8, 26
_SIZE, _WEIGHT = 15, 450
_BACKGROUND, _INK = 24, (235, 235, 235)
_SHOWN_VOID = 0.3
"""Share of its brightness that a void pixel keeps."""


def choose(splits: Sequence[CheckedSplit], count: int = IMAGES) -> list[tuple[CheckedSplit, CheckedImage]]:
    """Images to show: for each class, the rarest first, the one with most of it; the others evenly spread."""
    images = [(split, image) for split in splits for image in split.images]
    if not images:
        return []
    counts = np.stack([image.counts[:VOID] for _, image in images])
    total = counts.sum(0)
    present = [int(label) for label in np.argsort(total, kind="stable") if total[label]]
    chosen = dict.fromkeys(int(counts[:, label].argmax()) for label in present[:count])
    spread = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    for index in (*spread.tolist(), *range(len(images))):
        if len(chosen) >= count:
            break
        chosen.setdefault(index)
    return [images[index] for index in sorted(chosen)]


def overlay(image: Pixels, label: Pixels, classes: Classes) -> Pixels:
    """Blend an image [H, W, 3] RGB with the colours of its label [H, W]; void pixels are dark."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(classes)] = classes.palette
    blended = cv2.addWeighted(image, 0.5, palette[label], 0.5, 0)
    return np.where((label == VOID)[..., None], image * _SHOWN_VOID, blended).astype(np.uint8)


def draw_sheet(cells: Sequence[tuple[str, Pixels]], classes: Classes) -> Pixels:
    """Draw titled images [H, W, 3] RGB in a grid, and the legend of all classes below: uint8 [H, W, 3] RGB."""
    height, width = _CELL
    rows = -(-len(cells) // _COLUMNS)
    total = _COLUMNS * (width + _GAP) + _GAP
    sheet = np.full((rows * (height + _LINE + _GAP) + _GAP, total, 3), _BACKGROUND, np.uint8)
    for index, (title, image) in enumerate(cells):
        top = _GAP + index // _COLUMNS * (height + _LINE + _GAP)
        left = _GAP + index % _COLUMNS * (width + _GAP)
        _write(sheet, _fitted(title, width, from_end=True), left, top + 18)
        small = _shrunk(image)
        y, x = top + _LINE + (height - small.shape[0]) // 2, left + (width - small.shape[1]) // 2
        sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.concatenate([sheet, _legend(classes, total)])


def _legend(classes: Classes, width: int) -> Pixels:
    entries: list[tuple[str, Colour]] = [
        (f"{index} {name}", colour)
        for index, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True))
    ]
    column = _CELL[1] + _GAP
    legend = np.full((-(-len(entries) // _COLUMNS) * _LINE + _GAP, width, 3), _BACKGROUND, np.uint8)
    for index, (name, colour) in enumerate(entries):
        x, y = _GAP + index % _COLUMNS * column, index // _COLUMNS * _LINE
        cv2.rectangle(legend, (x, y + 3), (x + 28, y + 19), colour, -1)
        cv2.rectangle(legend, (x, y + 3), (x + 28, y + 19), _INK, 1)
        _write(legend, _fitted(name, column - 50), x + 38, y + 17)
    return legend


def _shrunk(image: Pixels) -> Pixels:
    scale = min(_CELL[0] / image.shape[0], _CELL[1] / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def _font() -> Any:
    """OpenCV's TrueType font, or None before OpenCV 5, whose stroke fonts have ASCII only."""
    face = getattr(cv2, "FontFace", None)
    return None if face is None else face("sans")


def _write(image: Pixels, text: str, left: int, baseline: int) -> None:
    font, text = _font(), _drawable(text)
    if font is None:
        cv2.putText(image, _ascii(text), (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    else:
        cv2.putText(image, text, (left, baseline), _INK, font, _SIZE, _WEIGHT)


def _drawable(text: str) -> str:
    """Text with "?" for the lone surrogates of a file name that is not UTF-8, on which OpenCV 5.0 crashes."""
    return text.encode("utf-8", "replace").decode()


def _width(text: str) -> int:
    font, text = _font(), _drawable(text)
    if font is None:
        return int(cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0])
    return int(cv2.getTextSize((0, 0), text, (0, 0), font, _SIZE, _WEIGHT)[2])


def _fitted(text: str, width: int, from_end: bool = False) -> str:
    """The text, or as much of its start (or end) as fits, with an ellipsis."""
    if _width(text) <= width:
        return text
    low, high = 0, len(text) - 1
    while low < high:  # the most letters that fit
        length = (low + high + 1) // 2
        fits = _width(_cut(text, length, from_end)) <= width
        low, high = (length, high) if fits else (low, length - 1)
    return _cut(text, low, from_end)


def _cut(text: str, length: int, from_end: bool) -> str:
    return "..." + text[len(text) - length :] if from_end else text[:length] + "..."


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()

"""Plots of an evaluation: the confusion matrix and a sheet of the worst predictions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from hyperseg_runtime.output.lettering import draw_text, shortened, writable

from hyperseg.data import Dataset, Pixels
from hyperseg.metrics import Confusion
from hyperseg_export.evaluation.predictors import Predictor

_CELL, _MARGIN, _TEXT = 58, 130, 14


def confusion_image(confusion: Confusion, names: Sequence[str]) -> Pixels:
    """The matrix as BGR uint8: rows are the truth, columns the prediction, numbers per cent of the row."""
    count = len(names)
    counts = confusion.counts[:, :count].astype(np.float64)
    shares = counts / np.maximum(confusion.counts.sum(1, keepdims=True), 1)
    side = _MARGIN + count * _CELL + 10
    image = np.full((side, side, 3), 255, np.uint8)
    for row in range(count):
        _write(image, _label(names, row), (8, _MARGIN + row * _CELL + _CELL // 2 + 4))
        _write_upright(image, _label(names, row), _MARGIN + row * _CELL + _CELL // 2)
        for column in range(count):
            share = shares[row, column]
            x, y = _MARGIN + column * _CELL, _MARGIN + row * _CELL
            shade = int(255 - 200 * share**0.5)
            cv2.rectangle(image, (x, y), (x + _CELL - 2, y + _CELL - 2), (255, shade, shade), -1)
            if share >= 0.005:
                _write(image, f"{100 * share:.0f}", (x + 16, y + _CELL // 2 + 4), dark=share < 0.6)
    return image


def worst_sheet(data: Dataset, predictor: Predictor, indices: Sequence[int], scores: Sequence[float]) -> Pixels:
    """One row per image, BGR uint8: the image, its labels, the prediction."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(data.classes)] = data.classes.palette
    rows = []
    for index in indices:
        sample = data[index]
        labels = predictor(np.ascontiguousarray(sample.image[..., ::-1]))
        row = np.concatenate([sample.image, palette[sample.label], palette[labels]], axis=1)
        height = round(row.shape[0] * 1200 / row.shape[1])
        small = np.asarray(cv2.resize(row, (1200, height), interpolation=cv2.INTER_AREA), np.uint8)
        titled = np.concatenate([np.full((24, 1200, 3), 255, np.uint8), small])
        _write(titled, f"{sample.name}   mIoU {100 * scores[index]:.1f} %", (6, 17))
        rows.append(titled)
    return np.ascontiguousarray(np.concatenate(rows)[..., ::-1])


def _write(image: Pixels, text: str, where: tuple[int, int], dark: bool = True) -> None:
    draw_text(image, text, *where, _TEXT, (0, 0, 0) if dark else (255, 255, 255))


def _label(names: Sequence[str], index: int) -> str:
    """The name as it fits into the margin."""
    return shortened(writable(names[index], f"class {index}"), _MARGIN - 16, _TEXT)


def _write_upright(image: Pixels, text: str, x: int) -> None:
    strip = np.full((24, _MARGIN - 8, 3), 255, np.uint8)
    _write(strip, text, (2, 16))
    image[4 : _MARGIN - 4, x - 12 : x + 12] = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)

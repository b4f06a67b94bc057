"""Rendering of labels: overlay, side by side, mask or contours, with a legend."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.preprocess import Frame, Labels


class Style(str, Enum):
    """The rendering styles."""

    OVERLAY = "overlay"
    SIDE_BY_SIDE = "side-by-side"
    MASK = "mask"
    CONTOUR = "contour"


class Renderer:
    """Draws labels in the model's palette."""

    def __init__(self, metadata: Metadata, style: Style, alpha: float = 0.5, legend: bool = False) -> None:
        """alpha: opacity of the colours in overlays, 0 to 1."""
        self._metadata = metadata
        self._draw: Callable[[Frame, Labels], Frame] = {
            Style.OVERLAY: self._overlay,
            Style.SIDE_BY_SIDE: self._side_by_side,
            Style.MASK: self._mask,
            Style.CONTOUR: self._contour,
        }[style]
        self._alpha = alpha
        self._legend = legend
        self._legends: dict[tuple[int, int], Frame | None] = {}

    def __call__(self, frame: Frame, labels: Labels) -> Frame:
        """uint8 [h, w, 3] BGR and uint8 [h, w] -> uint8 [h, w, 3] BGR ([h, 2w, 3] side by side)."""
        image = self._draw(frame, labels)
        return self._with_legend(image) if self._legend else image

    @cached_property
    def _colours(self) -> NDArray[np.uint8]:
        """BGR of every possible label, as OpenCV's colour maps are: [256, 1, 3]."""
        table = np.zeros((256, 1, 3), np.uint8)
        table[: self._metadata.num_classes, 0] = np.asarray(self._metadata.palette, np.uint8)[:, ::-1]
        return table

    def _mask(self, frame: Frame, labels: Labels) -> Frame:
        del frame
        return np.asarray(cv2.applyColorMap(labels, self._colours), dtype=np.uint8)

    def _overlay(self, frame: Frame, labels: Labels) -> Frame:
        mixed = cv2.addWeighted(self._mask(frame, labels), self._alpha, frame, 1.0 - self._alpha, 0.0)
        return np.asarray(mixed, dtype=np.uint8)

    def _side_by_side(self, frame: Frame, labels: Labels) -> Frame:
        both: Frame = np.hstack([frame, self._overlay(frame, labels)])
        return both

    def _contour(self, frame: Frame, labels: Labels) -> Frame:
        reach = 1 + 2 * max(1, round(min(labels.shape) / 720))
        kernel = np.ones((reach, reach), np.uint8)
        borders = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, kernel)
        image: Frame = np.array(frame)
        cv2.copyTo(self._mask(frame, labels), borders, image)
        return image

    def _with_legend(self, image: Frame) -> Frame:
        height, width = image.shape[:2]
        if (height, width) not in self._legends:
            self._legends[height, width] = self._draw_legend(height, width)
        panel = self._legends[height, width]
        if panel is None:
            return image
        margin = max(2, height // 60)
        place = image[margin : margin + panel.shape[0], margin : margin + panel.shape[1]]
        image = image.copy()
        image[margin : margin + panel.shape[0], margin : margin + panel.shape[1]] = cv2.addWeighted(
            panel, 0.85, place, 0.15, 0.0
        )
        return image

    def _draw_legend(self, height: int, width: int) -> Frame | None:
        """A column of colours and names on dark ground; None if the image is too small for it."""
        names = self._metadata.class_names
        row = min(height * 9 // 10 // (len(names) + 1), max(14, height // 28))
        if row < 9:
            return None
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, row / 32
        text_width = max(cv2.getTextSize(name, font, scale, 1)[0][0] for name in names)
        panel = np.full((row * len(names) + row // 2, text_width + 3 * row, 3), 32, np.uint8)
        if panel.shape[1] > width // 2:
            return None
        for label, name in enumerate(names):
            top = row // 4 + label * row
            colour = [int(value) for value in self._colours[label, 0]]
            cv2.rectangle(panel, (row // 2, top + row // 6), (row // 2 + row, top + row - row // 6), colour, cv2.FILLED)
            cv2.putText(panel, name, (2 * row, top + row * 3 // 4), font, scale, (240, 240, 240), 1, cv2.LINE_AA)
        return panel

"""Rendering of labels: overlay, side by side, mask or contours, with outlines and a legend."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.output.legend import Corner, Legend
from hyperseg_runtime.output.outlines import border_field, draw_lines
from hyperseg_runtime.output.palette import Palette, palette_of
from hyperseg_runtime.preprocess import Frame, Labels, Size, restore

_WHITE = np.full((1, 3), 255, np.uint8)
_OUTLINE_OPACITY, _CONTOUR_OPACITY = 0.7, 0.95
_SMALL = 240
"""Shorter side of a frame, in pixels, below which outlines fade: no line is thinner than a pixel."""
_LABELS = 256
"""Labels that a byte tells apart."""
_SAMPLE = 200_000
"""Pixels that are enough to tell which classes are there."""
_BACKDROP = 128
"""Grey under the legend's colours, which it shows as the overlay does: mixed with what lies below."""


class Style(str, Enum):
    """What an image shows.

    OVERLAY: the classes' colours mixed with the frame. SIDE_BY_SIDE: the frame, and the overlay beside it. MASK: the
    colours alone. CONTOUR: the frame with lines around the classes.
    """

    OVERLAY = "overlay"
    SIDE_BY_SIDE = "side-by-side"
    MASK = "mask"
    CONTOUR = "contour"


@dataclass(frozen=True)
class Appearance:
    """What the images look like.

    Raises InputError for an opacity outside 0 to 1, and for a style, place, palette or class of another type.
    """

    style: Style = Style.OVERLAY
    """What is drawn over the frame, or instead of it."""
    alpha: float = 0.5
    """Opacity of the colours in overlays, 0 to 1."""
    legend: Corner | None = None
    """Where the classes' names are listed; None: nowhere."""
    palette: Palette = Palette.DATASET
    """The model's own colours, or colours that are easy to tell apart."""
    outline: bool | None = None
    """Whether to draw a light line between areas; None: where visible colours are mixed with the frame.
    Contours are lines in any case."""
    classes: Collection[int] | None = None
    """The classes to draw; None: all."""
    moving: bool = False
    """The frames are those of one video: the legend's entries stay in place from frame to frame."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha {self.alpha} is not an opacity from 0 to 1")
        _check_member("style", self.style, Style)
        _check_member("palette", self.palette, Palette)
        if self.legend is not None:
            _check_member("legend", self.legend, Corner)
        for label in () if self.classes is None else self.classes:
            if not isinstance(label, (int, np.integer)) or not 0 <= label < _LABELS:
                raise InputError(f"{label!r} in classes is not the number of a class; Segmenter.classes.index(name) is")

    @property
    def mixes(self) -> bool:
        """Whether colours are mixed with the frame."""
        return self.style in (Style.OVERLAY, Style.SIDE_BY_SIDE)

    @property
    def has_lines(self) -> bool:
        if self.style is Style.CONTOUR:
            return True
        return self.mixes and self.alpha > 0 if self.outline is None else self.outline


def _check_member(name: str, value: object, kind: type[Enum]) -> None:
    """Raises InputError unless the value is a member: a string equals one, but is not the one that code compares to."""
    if not isinstance(value, kind):
        members = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
        raise InputError(f"{name} is {value!r}; it has to be one of {members}")


class Renderer:
    """Draws labels. Labels that are no class of the model, or not to be drawn, are left without colour."""

    def __init__(self, metadata: Metadata, style: Style | Appearance, alpha: float = 0.5) -> None:
        """style: the whole appearance, or a style with `alpha` and the defaults otherwise."""
        self._look = style if isinstance(style, Appearance) else Appearance(style, alpha)
        self._drawn = np.zeros(256, bool)
        wanted = range(metadata.num_classes) if self._look.classes is None else self._look.classes
        self._drawn[list(wanted)] = True
        colours = np.zeros((256, 3), np.uint8)
        colours[: metadata.num_classes] = palette_of(metadata, self._look.palette)[:, ::-1]
        colours[~self._drawn] = 0
        self._colours: NDArray[np.uint8] = colours
        """BGR of every possible label: [256, 3]; black where nothing is drawn."""
        self._ranks = np.zeros(256, np.uint8)
        """Labels as drawn: 0 where nothing is, else from 1 in the order of the labels (from 0 if all 256 are drawn)."""
        self._ranks[self._drawn] = np.arange(int(self._drawn.sum())) + (0 if self._drawn.all() else 1)
        self._legend = None
        if self._look.legend is not None:
            swatches = self._mix(colours.copy(), np.full_like(colours, _BACKDROP)) if self._look.mixes else colours
            self._legend = Legend(metadata.class_names, swatches, self._look.legend, self._look.moving)

    def __call__(self, frame: Frame, labels: Labels, line_grid: Size | None = None) -> Frame:
        """uint8 [h, w, 3] BGR and uint8 [h, w] -> a new uint8 [h, w, 3] BGR ([h, 2w, 3] side by side).

        line_grid: the resolution of the labels that lines are drawn from, at most the frame's: the coarser, the
            smoother and, in proportion, the wider they are. None: the frame's.
        """
        image = self._fill(frame, labels)
        if self._look.has_lines:
            coarser = line_grid is not None and not np.any(np.greater(line_grid, labels.shape))
            self._draw_outlines(image, restore(labels, line_grid) if line_grid is not None and coarser else labels)
        if self._legend is not None:
            self._legend.draw(image, _shares(labels) * self._drawn)
        if self._look.style is Style.SIDE_BY_SIDE:
            return np.asarray(np.hstack([frame, image]), np.uint8)
        return image

    def _mix(self, colours: NDArray[np.uint8], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Mixes the ground into the colours, in place: another new image would take longer than the mixing."""
        cv2.addWeighted(colours, self._look.alpha, ground, 1.0 - self._look.alpha, 0.0, dst=colours)
        return colours

    def _hides(self, labels: Labels) -> bool:
        """Whether some of the labels may be left without colour."""
        return self._look.classes is not None or not self._drawn[labels.max()]

    def _fill(self, frame: Frame, labels: Labels) -> Frame:
        if self._look.style is Style.CONTOUR:
            return np.array(frame)
        mask = np.asarray(cv2.applyColorMap(labels, self._colours[:, np.newaxis]), np.uint8)
        if not self._look.mixes:
            return mask
        image = self._mix(mask, frame)
        if self._hides(labels):
            cv2.copyTo(frame, np.asarray(cv2.LUT(labels, (~self._drawn).astype(np.uint8))), image)
        return image

    def _draw_outlines(self, image: Frame, labels: Labels) -> None:
        ranks = np.asarray(cv2.LUT(labels, self._ranks), np.uint8) if self._hides(labels) else labels
        size = (image.shape[0], image.shape[1])
        scale = float(np.sqrt(image.shape[0] * image.shape[1] / labels.size))
        field = border_field(ranks, size)
        if self._look.style is not Style.CONTOUR:
            draw_lines(image, field, scale, _OUTLINE_OPACITY * min(1.0, min(size) / _SMALL), _WHITE)
            return
        # The line between two classes has the colour of the later one: in the datasets' orders, things come after
        # what they stand on and before.
        later = restore(np.asarray(cv2.dilate(ranks, np.ones((3, 3), np.uint8)), np.uint8), size)
        colours = self._colours
        if ranks is not labels:
            colours = np.zeros((256, 3), np.uint8)
            colours[self._ranks[self._drawn]] = self._colours[self._drawn]
        draw_lines(image, field, scale, _CONTOUR_OPACITY, colours, later)


def _shares(labels: Labels) -> NDArray[np.float64]:
    """The share of each label, [256], of a large image from a regular sample of its pixels."""
    step = max(1, math.isqrt(labels.size // _SAMPLE))
    sample = np.ascontiguousarray(labels[::step, ::step])
    return np.asarray(cv2.calcHist([sample], [0], None, [256], [0, 256]), np.float64).reshape(-1) / sample.size

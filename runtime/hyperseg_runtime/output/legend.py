"""Legend of rendered frames: a small panel in a corner with colour and name of the classes that the frame has.

In a video the entries are stable: a class enters when it has been there for some frames, leaves when it has been away
for longer, and no entry moves meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.output.legend_layout import Layout, arranged
from hyperseg_runtime.output.lettering import draw_text, writable
from hyperseg_runtime.preprocess import Frame, Size

_GROUND, _TEXT, _RIM = (28, 28, 28), (240, 240, 240), (190, 190, 190)
_OPACITY = 0.75
_ENTER_SHARE, _STAY_SHARE = 0.0003, 0.0001
"""Shares of the frame from which a class enters, and below which it counts as absent."""
_ENTER_FRAMES, _LEAVE_FRAMES = 5, 60
"""In a video: for how many frames in a row a class must be there to enter, or be absent to leave."""


class Corner(str, Enum):
    """The place of the legend."""

    TOP_LEFT = "top-left"
    TOP_RIGHT = "top-right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM_RIGHT = "bottom-right"


class Legend:
    """Draws the legend of each frame."""

    def __init__(self, names: Sequence[str], colours: NDArray[np.uint8], corner: Corner, moving: bool) -> None:
        """names: of the labels 0, 1, and so on. colours: BGR, [n, 3]. moving: the frames are those of one video."""
        self._names = [writable(name, f"class {label}") for label, name in enumerate(names)]
        self._colours, self._corner, self._moving = colours, corner, moving
        self._entries = Entries(moving)
        self._shown: set[int] = set()
        """What the video's legend has had so far: its width stays, whatever leaves."""
        self._arranged: tuple[tuple[int | None, ...], Size] | None = None
        self._layout: Layout | None = None

    def draw(self, image: Frame, shares: NDArray[np.float64]) -> None:
        """Draws the legend into `image`. shares: of the image, for each label: [n]."""
        entries = self._entries.update(shares)
        size = (image.shape[0], image.shape[1])
        if self._arranged != (entries, size):
            self._arranged, self._layout = (entries, size), self._arrange(entries, size)
        if self._layout is not None:
            self._paint(image, self._layout, entries)

    def _arrange(self, entries: tuple[int | None, ...], size: Size) -> Layout | None:
        labels = {label for label in entries if label is not None}
        self._shown = self._shown | labels if self._moving else labels
        texts = [None if label is None else self._names[label] for label in entries]
        return arranged(texts, [self._names[label] for label in sorted(self._shown)], size)

    def _paint(self, image: Frame, layout: Layout, entries: tuple[int | None, ...]) -> None:
        height, width = image.shape[:2]
        top, left = layout.margin, layout.margin
        if self._corner in (Corner.BOTTOM_LEFT, Corner.BOTTOM_RIGHT):
            top = height - layout.margin - layout.height
        if self._corner in (Corner.TOP_RIGHT, Corner.BOTTOM_RIGHT):
            left = width - layout.margin - layout.width
        panel = image[top : top + layout.height, left : left + layout.width]
        panel[:] = cv2.addWeighted(np.full_like(panel, _GROUND), _OPACITY, panel, 1 - _OPACITY, 0)
        for place, text in enumerate(layout.texts):
            x, y = layout.place(place)
            label = entries[place] if place < layout.named else None
            if label is not None:
                colour = [int(value) for value in self._colours[label]]
                corner, opposite = (x, y - layout.swatch[1]), (x + layout.swatch[0], y)
                cv2.rectangle(panel, corner, opposite, colour, cv2.FILLED)
                cv2.rectangle(panel, corner, opposite, _RIM, max(1, layout.font // 16))
            if text:
                draw_text(panel, text, x + layout.indent, y, layout.font, _TEXT)


class Entries:
    """The classes in the legend, each at its place; None is a place that a class has left."""

    def __init__(self, moving: bool) -> None:
        self._moving = moving
        self._places: list[int | None] = []
        self._seen: dict[int, int] = {}
        """Frames in a row in which a class that has no place yet was there."""
        self._missed: dict[int, int] = {}
        """Frames in a row in which a class with a place was absent."""
        self._started = False

    def update(self, shares: NDArray[np.float64]) -> tuple[int | None, ...]:
        """The labels of the places after the next frame, larger classes first where they enter together.

        shares: of the frame, for each label: [n].
        """
        by_size = [int(label) for label in np.argsort(-shares, kind="stable") if shares[label] >= _ENTER_SHARE]
        if not (self._moving and self._started):
            self._started, self._places = True, [*by_size]
            return tuple(self._places)
        for place, label in enumerate(self._places):
            if label is not None and self._left(label, float(shares[label])):
                self._places[place] = None
        self._seen = {label: self._seen.get(label, 0) + 1 for label in by_size if label not in self._places}
        for label in [label for label, frames in self._seen.items() if frames >= _ENTER_FRAMES]:
            self._take_place(label)
        while self._places and self._places[-1] is None:
            self._places.pop()
        return tuple(self._places)

    def _left(self, label: int, share: float) -> bool:
        self._missed[label] = 0 if share >= _STAY_SHARE else self._missed.get(label, 0) + 1
        return self._missed[label] >= _LEAVE_FRAMES

    def _take_place(self, label: int) -> None:
        del self._seen[label]
        self._missed[label] = 0
        if None in self._places:
            self._places[self._places.index(None)] = label
        else:
            self._places.append(label)

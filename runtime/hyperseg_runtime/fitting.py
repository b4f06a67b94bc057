"""How a frame fits the network's input: stretched, letterboxed, or cut into tiles.

`Fit` names the ways, `area_of` says which part of the network's input shows the frame, and `window_of` which part of
its low-resolution logits. Tiles have a geometry of their own: see `tiling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from hyperseg_runtime.upsampling import Window

if TYPE_CHECKING:
    from hyperseg_runtime.preprocess import Size

_LEAST = 4
"""Pixels of the network's input that a letterboxed frame has at least in either direction: those of one logit."""


class Fit(str, Enum):
    """How a frame of another size is brought to the network's input.

    STRETCH: resized to it, whatever its aspect ratio, as in the published evaluation. LETTERBOX: resized with its
    aspect ratio, in the middle of the mean colour. TILE: not resized, but cut into overlapping windows of the network's
    input size, whose logits are blended.
    """

    STRETCH = "stretch"
    LETTERBOX = "letterbox"
    TILE = "tile"


@dataclass(frozen=True)
class Area:
    """A rectangle of the network's input, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def size(self) -> Size:
        return self.height, self.width


def area_of(frame: Size, network: Size, letterbox: bool) -> Area:
    """The part of the network's input that shows a frame of this size: all of it, or, letterboxed, its middle.

    The aspect ratio is kept to a pixel, except that a frame more than a hundred times longer than wide (or wider than
    long) gets `_LEAST` pixels across.
    """
    if not letterbox:
        return Area(0, 0, *network)
    scale = min(network[0] / frame[0], network[1] / frame[1])
    height, width = (min(max(round(length * scale), _LEAST), most) for length, most in zip(frame, network, strict=True))
    return Area((network[0] - height) // 2, (network[1] - width) // 2, height, width)


def window_of(area: Area, network: Size, low: Size) -> Window | None:
    """The same part of low-resolution logits of size `low`, in their pixels; None where it is all of them."""
    if area.size == network:
        return None
    down, across = low[0] / network[0], low[1] / network[1]
    return Window(area.top * down, area.left * across, area.height * down, area.width * across)

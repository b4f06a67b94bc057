"""Labels and probabilities of any size from low-resolution logits: bilinear enlargement without full-size logits.

Bilinear with half-pixel centres (`align_corners=False`), as in the networks' own end: pixel i of n results lies at
(i + 0.5) / n of the window, and positions beyond its outermost pixels are clamped to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hyperseg_runtime.preprocess import Labels, Size

LowLogits: TypeAlias = "NDArray[np.float32] | NDArray[np.float16]"
"""[C, h, w], or [N, C, h, w]: the logits of a network at its own output size, before they are enlarged."""


@dataclass(frozen=True)
class Window:
    """The part of the low-resolution logits that shows the frame, in their pixels, fractions included."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True)
class Placement:
    """What to compute from one image's logits: a result of `size`, from `window` or (None) from all of them."""

    size: Size
    window: Window | None = None


def labels_at(logits: LowLogits, placement: Placement) -> Labels:
    """The largest channel at each pixel of the enlarged logits, ties to the lowest: [C, h, w] -> uint8 [H, W]."""
    best: NDArray[np.float32] | None = None
    labels = np.zeros(placement.size, np.uint8)
    for channel, plane in enumerate(logits):
        enlarged = _enlarged(np.asarray(plane, np.float32), placement)
        if best is None:
            best = enlarged
            continue
        larger = enlarged > best
        np.copyto(best, enlarged, where=larger)
        labels[larger] = channel
    return labels


def _enlarged(plane: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    height, width = placement.size
    window = placement.window
    if window is None:
        return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    rows = window.top + (np.arange(height, dtype=np.float32) + 0.5) * (window.height / height) - 0.5
    columns = window.left + (np.arange(width, dtype=np.float32) + 0.5) * (window.width / width) - 0.5
    rows = np.clip(rows, window.top, window.top + window.height - 1)
    columns = np.clip(columns, window.left, window.left + window.width - 1)
    x, y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    return np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)

"""Colours of the classes in rendered images: the dataset's palette, or one whose colours are easy to tell apart.

The distinct palette is computed: each colour is the one farthest from all colours before it. The distance of two
colours is what viewers see in the worst case: a dichromat of any kind, or, as a dichromat has two dimensions of colour
left of three, half of the distance that is seen with normal vision.

Distances are Euclidean in CIELAB (CIE 1976). Dichromatic vision is simulated with the matrices of Machado, Oliveira and
Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (IEEE TVCG 15(6), 2009), severity
1.0, which apply to linear RGB.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.metadata import MAX_CLASSES, Metadata

Colours = NDArray[np.uint8]
"""uint8 [n, 3], RGB."""


class Palette(str, Enum):
    """The colours of rendered images.

    DATASET: the palette in the model's metadata. DISTINCT: computed for contrast and colour blindness.
    """

    DATASET = "dataset"
    DISTINCT = "distinct"


_VISIONS = np.array(
    [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
"""Normal vision, protanopia, deuteranopia, tritanopia: matrices on linear RGB."""
_WEIGHTS = np.array([0.5, 1.0, 1.0, 1.0], np.float32)[:, np.newaxis]
"""Of the distances that each of them sees."""
_LEVELS = np.linspace(0, 255, 16)
_MIN_LIGHTNESS, _MAX_LIGHTNESS = 34.0, 95.0
_MIN_CHROMA = 28.0
"""Candidates are lighter than shadows, darker than highlights, and no greys: streets are grey."""


_EXPECTED: dict[str, tuple[int, int, int]] = {
    "sky": (120, 190, 255),
    "tree": (100, 160, 60),
    "vegetation": (100, 160, 60),
    "plant": (100, 160, 60),
    "terrain": (170, 240, 120),
    "grass": (170, 240, 120),
    "water": (60, 110, 255),
    "road": (110, 50, 140),
    "pavement": (235, 120, 235),
    "sidewalk": (235, 120, 235),
    "building": (190, 0, 50),
    "person": (255, 0, 0),
    "pedestrian": (255, 0, 0),
    "rider": (240, 90, 120),
    "cyclist": (240, 150, 0),
    "car": (70, 70, 255),
    "sign": (240, 240, 0),
}
"""Colours that viewers expect of some classes, by a word of the name; RGB."""


def palette_of(metadata: Metadata, palette: Palette) -> Colours:
    """The colour of each class: uint8 [classes, 3], RGB."""
    own = np.asarray(metadata.palette, np.uint8).reshape(-1, 3)
    if palette is Palette.DATASET:
        return own
    wanted, weights = own.copy(), np.ones(len(own))
    for label, name in enumerate(metadata.class_names):
        expected = next((_EXPECTED[word] for word in name.casefold().split() if word in _EXPECTED), None)
        if expected is not None:
            wanted[label], weights[label] = expected, 4.0
    return _near(distinct(metadata.num_classes), wanted, weights)


@lru_cache(maxsize=8)
def distinct(count: int) -> Colours:
    """`count` colours, uint8 [count, 3] RGB, always the same; the first of more colours are those of fewer.

    Raises ValueError unless `count` is from 1 to 256.
    """
    if not 1 <= count <= MAX_CLASSES:
        raise ValueError(f"a palette has 1 to {MAX_CLASSES} colours, not {count}")
    candidates = _candidates()
    seen = seen_colours(candidates)
    chosen = [int(np.argmax(np.linalg.norm(seen[0, :, 1:], axis=-1)))]  # the most saturated one
    nearest = _distances(seen, chosen[0])
    while len(chosen) < count:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, _distances(seen, chosen[-1]))
    return candidates[chosen]


def seen_colours(colours: Colours) -> NDArray[np.float32]:
    """uint8 [n, 3] RGB -> CIELAB as seen with normal vision, protanopia, deuteranopia and tritanopia: [4, n, 3]."""
    encoded = colours / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,nj->vni", _VISIONS, linear), 0, 1)
    return np.asarray(cv2.cvtColor(seen.astype(np.float32), cv2.COLOR_LRGB2Lab))


def _distances(seen: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """From one colour to all others, in the worst case."""
    return np.asarray((_WEIGHTS * np.linalg.norm(seen - seen[:, index : index + 1], axis=-1)).min(axis=0))


def _candidates() -> Colours:
    levels = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)
    lab = seen_colours(levels)[0]
    chroma = np.linalg.norm(lab[:, 1:], axis=-1)
    wanted = (lab[:, 0] >= _MIN_LIGHTNESS) & (lab[:, 0] <= _MAX_LIGHTNESS) & (chroma >= _MIN_CHROMA)
    return np.asarray(levels[wanted])


def _near(colours: Colours, wanted: Colours, weights: NDArray[np.float64]) -> Colours:
    """The same colours in another order: each class gets one near the colour wanted for it.

    Classes exchange colours in pairs for as long as that lowers the weighted sum of squared distances.
    """
    distances = np.linalg.norm(seen_colours(colours)[0][np.newaxis] - seen_colours(wanted)[0][:, np.newaxis], axis=-1)
    costs = weights[:, np.newaxis] * distances.astype(np.float64) ** 2
    order = np.arange(len(colours))
    while True:
        exchanged = costs[:, order]
        own = np.diagonal(exchanged)
        gains = own[:, np.newaxis] + own - exchanged - exchanged.T
        first, second = divmod(int(np.argmax(gains)), len(order))
        if gains[first, second] <= 1e-6:
            return np.asarray(colours[order])
        order[[first, second]] = order[[second, first]]

"""Trees, painted once as sprites and then scaled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from hyperseg_street.camera import Camera
from hyperseg_street.canvas import Canvas, Label, Pixels

LOOKS = 10
_SIZE = 320


@dataclass(frozen=True)
class Tree:
    """A tree; `height` in metres."""

    x: float
    z: float
    height: float
    look: int

    @property
    def order(self) -> float:
        return self.z

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        found = camera.point(self.x, 0.0, self.z)
        if found is None:
            return
        across, down, scale = found
        side = self.height * scale
        left, top = across - side / 2, down - side * 0.985
        x0, y0 = max(int(left), 0), max(int(top), 0)
        x1, y1 = min(int(left + side) + 1, canvas.size[1]), min(int(top + side) + 1, canvas.size[0])
        if side < 2 or x0 >= x1 or y0 >= y1:
            return
        image, cover = sprite(self.look, max(0, int(np.log2(_SIZE / side))))
        zoom = side / cover.shape[0]
        matrix = np.array([[zoom, 0, left - x0], [0, zoom, top - y0]])
        seen = cv2.warpAffine(
            image, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        mask = cv2.warpAffine(cover, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR) > 127
        lit = np.asarray(cv2.convertScaleAbs(seen, alpha=shade), np.uint8)
        canvas.paste(lit, mask, mask, (x0, y0), Label.TREE, camera.distance(self.x, self.z))


@lru_cache(maxsize=8 * LOOKS)
def sprite(look: int, halvings: int) -> tuple[Pixels, Pixels]:
    """Image [S, S, 3] and opacity [S, S] (0 to 255) of a tree, with S = 320 halved `halvings` times."""
    image, cover = paint(look)
    size = (max(2, _SIZE >> halvings),) * 2
    small = (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(cover, size, interpolation=cv2.INTER_AREA),
    )
    return np.asarray(small[0], np.uint8), np.asarray(small[1], np.uint8)


@lru_cache(maxsize=LOOKS)
def paint(look: int) -> tuple[Pixels, Pixels]:
    """Paint a tree at full size; a third of the looks is nearly bare."""
    rng = np.random.default_rng((7, look))
    image, cover = np.full((_SIZE, _SIZE, 3), (62, 66, 40), np.uint8), np.zeros((_SIZE, _SIZE), np.uint8)
    bare = look % 3 == 2
    trunk = rng.uniform(0.9, 1.1) * np.array([74.0, 64.0, 52.0])
    _branch(
        image,
        cover,
        (_SIZE / 2, _SIZE - 4),
        -np.pi / 2,
        _SIZE * 0.27,
        13 if bare else 17,
        8 if bare else 4,
        trunk,
        rng,
    )
    leaf = np.array([[70, 96, 44], [92, 108, 48], [58, 84, 50], [112, 108, 58]][int(rng.integers(4))], np.float64)
    clusters = rng.normal([_SIZE / 2, _SIZE * 0.40], [_SIZE * 0.17, _SIZE * 0.13], (6 if bare else 26, 2))
    for centre in clusters[np.argsort(-clusters[:, 1])]:
        spread = rng.uniform(14, 34)
        for _ in range(40 if bare else 150):
            x, y = rng.normal(centre, spread / 1.5)
            lit = 1.05 + 0.5 * np.clip((_SIZE * 0.42 - y) / _SIZE, -0.5, 0.5) + 0.25 * (centre[1] - y) / spread
            tone = np.clip(leaf * lit * rng.uniform(0.6, 1.25), 0, 255)
            radius = int(rng.integers(1, 5))
            cv2.circle(image, (int(x), int(y)), radius, tone.tolist(), -1)
            cv2.circle(cover, (int(x), int(y)), radius, 255, -1)
    return image, cover


def _branch(
    image: Pixels,
    cover: Pixels,
    start: tuple[float, float],
    angle: float,
    length: float,
    width: float,
    levels: int,
    tone: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> None:
    if levels == 0 or width < 0.8:
        return
    end = (start[0] + length * np.cos(angle), start[1] + length * np.sin(angle))
    points = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
    cv2.line(image, *points, (tone * rng.uniform(0.85, 1.1)).tolist(), max(1, int(width)))
    cv2.line(cover, *points, 255, max(1, int(width)))
    for turn in rng.uniform([-0.65, 0.1], [-0.1, 0.65]):
        _branch(image, cover, end, angle + turn, length * rng.uniform(0.62, 0.84), width * 0.66, levels - 1, tone, rng)

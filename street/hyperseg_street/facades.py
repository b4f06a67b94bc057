"""Buildings: flat façades with painted windows, doors and shops, mapped in perspective."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from hyperseg_street.camera import NEAR, Camera, Points
from hyperseg_street.canvas import Canvas, Colour, Label, Pixels
from hyperseg_street.noise import fractal

PIXELS = 20
"""Texture resolution in pixels per metre."""

WALLS: tuple[Colour, ...] = (
    (134, 86, 66),
    (150, 104, 78),
    (168, 148, 112),
    (190, 176, 146),
    (204, 196, 180),
    (118, 104, 94),
    (158, 152, 146),
)
_SHOPS: tuple[Colour, ...] = ((52, 60, 92), (110, 36, 36), (40, 78, 58), (60, 56, 52), (150, 120, 60), (84, 98, 116))


@dataclass(frozen=True)
class Building:
    """A house whose façade lies in the plane X = `x` from Z = `start` to `end`; `look` seeds its texture."""

    x: float
    start: float
    end: float
    height: float
    look: int

    @property
    def order(self) -> float:
        return self.end

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        """Draw the house; `shade` darkens the façade on the side that the sun does not reach."""
        self._draw_end(canvas, camera, shade)
        near = camera.z + NEAR + 0.4 + abs(camera.yaw) * abs(self.x - camera.x)
        start = max(self.start, near)
        if start >= self.end - 0.05:
            return
        texture = facade(self.look, round(self.end - self.start), round(self.height))
        paste_plane(
            canvas, camera, texture, None, self._corners(start), self._cut(start, texture), Label.BUILDING, shade
        )

    def _corners(self, start: float) -> Points:
        x, top = self.x, self.height
        return np.array([[x, top, start], [x, top, self.end], [x, 0, self.end], [x, 0, start]])

    def _cut(self, start: float, texture: Pixels) -> float:
        return (start - self.start) / (self.end - self.start) * float(texture.shape[1])

    def _draw_end(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        """Draw the side wall that faces the camera, visible where the next house is lower or missing."""
        if self.start <= camera.z + NEAR:
            return
        out = self.x + (9.0 if self.x > 0 else -9.0)
        z, top, ridge = self.start, self.height, self.height + 1.2
        wall = [[self.x, 0, z], [self.x, top, z], [(self.x + out) / 2, ridge, z], [out, top, z], [out, 0, z]]
        base = np.array(WALLS[self.look % len(WALLS)]) * 0.72 * shade
        pixels = camera.polygon(np.array(wall, np.float64))
        canvas.polygon(pixels, (base[0], base[1], base[2]), Label.BUILDING, camera.distance(self.x, z))


def paste_plane(
    canvas: Canvas,
    camera: Camera,
    texture: Pixels,
    holes: Pixels | None,
    corners: Points,
    cut: float,
    label: int,
    shade: float,
) -> None:
    """Map a texture, from column `cut` on, onto a rectangle: `corners` near top, far top, far bottom, near bottom.

    Where `holes` is 0 what lies behind shows through in the image; the label covers the rectangle.
    """
    pixels = camera.polygon(corners)
    if pixels is None or len(pixels) != 4:
        return
    low, high = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int)
    low = np.maximum(low, 0)
    high = np.minimum(high, [canvas.size[1], canvas.size[0]])
    if (high - low < 1).any():
        return
    height, width = texture.shape[:2]
    source = np.array([[cut, 0], [width, 0], [width, height], [cut, height]], np.float32)
    matrix = np.asarray(cv2.getPerspectiveTransform(source, (pixels - low).astype(np.float32)), np.float64)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    if pixels[0, 1] < pixels[3, 1] and abs(pixels[3, 1] - pixels[0, 1]) * 3 < height:
        texture, matrix = _smaller(texture, matrix)
        holes = holes if holes is None else _smaller(holes, matrix)[0]
    warped = np.asarray(cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
    warped = np.asarray(cv2.convertScaleAbs(warped, alpha=shade), np.uint8)
    inside = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(inside, [np.round((pixels - low) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    mask = inside > 0
    seen = mask if holes is None else mask & (cv2.warpPerspective(holes, matrix, size, flags=cv2.INTER_LINEAR) > 127)
    depth = camera.distance(float(corners[:2, 0].mean()), float(corners[:2, 2].mean()))
    canvas.paste(warped, seen, mask, (int(low[0]), int(low[1])), label, depth)


def _smaller(texture: Pixels, matrix: Points) -> tuple[Pixels, Points]:
    """Downscale a texture to a quarter, against aliasing in the distance, and adapt its matrix."""
    small = cv2.resize(texture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    grow = np.diag([texture.shape[1] / small.shape[1], texture.shape[0] / small.shape[0], 1.0])
    return np.asarray(small, np.uint8), matrix @ grow


@lru_cache(maxsize=256)
def facade(look: int, length: int, height: int) -> Pixels:
    """Paint the texture of a façade of `length` x `height` metres, deterministic in its arguments."""
    rng = np.random.default_rng((look, length, height))
    size = (height * PIXELS, max(4, length) * PIXELS)
    wall = np.array(WALLS[look % len(WALLS)], np.float32) * rng.uniform(0.85, 1.12)
    grain = cv2.resize(fractal(128, 5, rng), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    bricks = 1 - 0.10 * (np.arange(size[0]) % 5 == 0)[:, None, None]
    image = wall * (0.82 + 0.36 * grain[..., None]) * bricks
    base = 1 - 0.2 * np.clip((np.arange(size[0]) - size[0] * 0.9) / (size[0] * 0.1), 0, 1)
    texture = np.ascontiguousarray(np.clip(image * base[:, None, None], 0, 255).astype(np.uint8))
    shop = rng.random() < 0.45
    _draw_windows(texture, rng, 4.0 if shop else 0.6)
    if shop:
        _draw_shop(texture, rng)
    else:
        _draw_door(texture, rng)
    cv2.rectangle(texture, (0, 0), (size[1], int(0.4 * PIXELS)), tuple(int(v * 0.55) for v in wall), -1)
    return texture


def _draw_windows(texture: Pixels, rng: np.random.Generator, lowest: float) -> None:
    height, width = texture.shape[0] / PIXELS, texture.shape[1] / PIXELS
    across, storey = rng.uniform(1.8, 2.8), rng.uniform(2.7, 3.2)
    wide, tall = rng.uniform(0.9, 1.4), rng.uniform(1.3, 1.8)
    frame = int(rng.uniform(190, 240)) if rng.random() < 0.7 else int(rng.uniform(50, 80))
    level = lowest + 0.4
    while level + tall < height - 0.8:
        for left in np.arange(0.6, width - wide, across):
            dark = rng.uniform(28, 70)
            glass = (dark, dark * 1.06, dark * 1.16)
            x0, y1 = int(left * PIXELS), int((height - level) * PIXELS)
            x1, y0 = x0 + int(wide * PIXELS), y1 - int(tall * PIXELS)
            cv2.rectangle(texture, (x0 - 2, y0 - 2), (x1 + 2, y1 + 2), (frame, frame, frame - 6), -1)
            cv2.rectangle(texture, (x0, y0), (x1, y1), glass, -1)
            sheen = tuple(min(255.0, v * 1.7 + 14) for v in glass)
            cv2.rectangle(texture, (x0, y0), (x1, y0 + (y1 - y0) // 3), sheen, -1)
            cv2.line(texture, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), (frame, frame, frame), 1)
            cv2.line(texture, (x0, (y0 + y1) // 2), (x1, (y0 + y1) // 2), (frame, frame, frame), 1)
        level += storey


def _draw_shop(texture: Pixels, rng: np.random.Generator) -> None:
    height, width = texture.shape[:2]
    colour = _SHOPS[int(rng.integers(len(_SHOPS)))]
    top, bottom = height - int(3.6 * PIXELS), height
    cv2.rectangle(texture, (0, top), (width, bottom), colour, -1)
    cv2.rectangle(
        texture, (0, top), (width, top + int(0.7 * PIXELS)), tuple(min(255, v * 1.25 + 12) for v in colour), -1
    )
    x = int(0.4 * PIXELS)
    for _ in range(int(rng.integers(4, 9))):
        step = int(rng.uniform(0.25, 0.5) * PIXELS)
        cv2.rectangle(texture, (x * 2, top + 5), (x * 2 + step // 2, top + 10), (226, 222, 206), -1)
        x += step
    pane = int(rng.uniform(1.6, 2.6) * PIXELS)
    for left in range(int(0.4 * PIXELS), width - pane // 2, pane + int(0.3 * PIXELS)):
        right = min(left + pane, width - 4)
        dark = rng.uniform(26, 62)
        cv2.rectangle(
            texture, (left, top + PIXELS), (right, bottom - int(0.5 * PIXELS)), (dark, dark * 1.05, dark * 1.1), -1
        )
        for _ in range(6):
            spot = (int(rng.integers(left, right)), int(rng.integers(top + 2 * PIXELS, bottom - PIXELS)))
            tone = rng.uniform(60, 170, 3)
            cv2.rectangle(texture, spot, (min(spot[0] + 9, right), spot[1] + 12), tuple(tone.tolist()), -1)


def _draw_door(texture: Pixels, rng: np.random.Generator) -> None:
    height, width = texture.shape[:2]
    left = int(rng.uniform(0.1, 0.7) * width)
    tone = rng.uniform(30, 110, 3)
    outer = (left - 3, height - int(2.3 * PIXELS) - 3), (left + PIXELS + 3, height)
    cv2.rectangle(texture, *outer, (206, 202, 192), -1)
    cv2.rectangle(texture, (left, height - int(2.3 * PIXELS)), (left + PIXELS, height), tuple(tone.tolist()), -1)

"""Ground: road with markings, kerbs and pavements, by casting each pixel's ray onto the street plane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_street.camera import Camera
from hyperseg_street.canvas import Label, Pixels
from hyperseg_street.noise import Field, fractal

ROAD = 4.2
"""Half the road's width."""
KERB = 0.16
_FAR = 400.0

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Ground:
    """Appearance of one street's ground."""

    asphalt: tuple[float, float, float]
    paving: tuple[float, float, float]
    grain: Field
    crossing: float
    """Distance between zebra crossings."""
    yellow: bool
    """Double yellow lines along the kerbs."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Ground:
        """Draw an appearance."""
        grey, warm = rng.uniform(78, 108), rng.uniform(128, 156)
        return cls(
            (grey, grey + rng.uniform(-1, 3), grey + rng.uniform(2, 8)),
            (warm + rng.uniform(4, 14), warm + rng.uniform(0, 6), warm - rng.uniform(0, 8)),
            fractal(512, 7, rng),
            float(rng.uniform(90, 140)),
            bool(rng.random() < 0.6),
        )

    def render(self, camera: Camera, shadows: float, light_from: float) -> tuple[Pixels, Pixels, int]:
        """Render image and labels of the rows below the horizon; returns them with the first such row.

        `shadows` is the depth of the shade, `light_from` the side of the street (-1 or 1) whose houses cast it.
        """
        top = max(0, math.ceil(camera.horizon + camera.focal * camera.y / _FAR))
        rows = np.arange(top, camera.height, dtype=np.float32)[:, None] + 0.5
        columns = np.arange(camera.width, dtype=np.float32)[None] + 0.5 - camera.width / 2
        depth = camera.focal * camera.y / (rows - camera.horizon)
        side = columns * depth / camera.focal
        cos, sin = math.cos(camera.yaw), math.sin(camera.yaw)
        x = np.asarray(cos * side + sin * depth + camera.x, np.float32)
        z = np.asarray(-sin * side + cos * depth + camera.z, np.float32)
        blur = np.asarray(depth / camera.focal, np.float32)
        image, on_road = self._surface(x, z, blur)
        image *= self._shade(x, z, shadows, light_from)[..., None]
        label = np.where(on_road, Label.ROAD, Label.PAVEMENT).astype(np.uint8)
        return np.asarray(np.clip(image, 0, 255), np.uint8), label, top

    def _surface(self, x: Floats, z: Floats, blur: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        aside = np.abs(x)
        on_road = aside < ROAD
        fine, coarse = self._noise(x * 90, z * 90), self._noise(x * 7, z * 3)
        contrast = np.clip(1.6 - blur * 40, 0.25, 1)
        rough = 1 + contrast * (0.30 * (fine - 0.5)) + 0.34 * (coarse - 0.5)
        worn = 1 - 0.10 * np.exp(-(((aside - ROAD / 2) % 1.6 - 0.8) ** 2) / 0.08)
        slabs = 1 - 0.22 * self._near(x, 0.75, 0.03, blur) - 0.22 * self._near(z, 0.6, 0.03, blur)
        road = np.array(self.asphalt, np.float32) * (rough * worn)[..., None]
        road = self._paint(road, x, z, blur)
        paving = np.array(self.paving, np.float32) * (rough * np.clip(slabs, 0, 1))[..., None]
        kerb = ((aside >= ROAD) & (aside < ROAD + KERB))[..., None]
        paving = np.where(kerb, np.array([186, 184, 178], np.float32) * rough[..., None], paving)
        gutter = np.clip(1 - np.abs(aside - ROAD + 0.1) / 0.14, 0, 1)[..., None] * 0.25
        return np.asarray(np.where(on_road[..., None], road * (1 - gutter), paving), np.float32), on_road

    def _paint(self, road: Floats, x: Floats, z: Floats, blur: Floats) -> Floats:
        """Paint white and yellow markings, worn in places."""
        wear = np.clip(0.5 + 1.4 * self._noise(x * 31, z * 31), 0, 1) * 0.92
        dash = _band(z % 9.0, 0.0, 5.0, blur)
        white = _band(x, -0.07, 0.07, blur) * dash
        place = z % self.crossing
        stripes = _band(x % 1.1, 0.0, 0.55, blur) * _band(np.abs(x), 0, ROAD - 0.4, blur)
        zebra = _band(place, 30.0, 33.2, blur)
        stop = _band(place, 27.4, 27.8, blur) * _band(x, -ROAD, 0.0, blur)
        white = np.maximum(white * (1 - _band(place, 26.5, 34.5, blur)), np.maximum(zebra * stripes, stop))
        yellow = np.zeros_like(white)
        if self.yellow:
            aside = np.abs(x)
            lines = _band(aside, ROAD - 0.34, ROAD - 0.26, blur) + _band(aside, ROAD - 0.52, ROAD - 0.44, blur)
            yellow = lines * (1 - _band(place, 26.5, 34.5, blur))
        white, yellow = (white * wear)[..., None], (yellow * wear)[..., None]
        road = road * (1 - white) + np.array([222, 222, 218], np.float32) * white
        return np.asarray(road * (1 - yellow) + np.array([196, 168, 70], np.float32) * yellow, np.float32)

    def _shade(self, x: Floats, z: Floats, shadows: float, light_from: float) -> Floats:
        edge = 1.5 + 2.2 * np.sign(np.sin(z * 0.13 + 1)) + 1.2 * np.sign(np.sin(z * 0.29))
        shade = np.clip((light_from * x - edge) / 0.5 + 0.5, 0, 1)
        return np.asarray(1 - shadows * shade, np.float32)

    def _noise(self, x: Floats, z: Floats) -> Floats:
        size = self.grain.shape[0]
        found = cv2.remap(self.grain, x % size, z % size, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(found, np.float32)

    @staticmethod
    def _near(value: Floats, period: float, width: float, blur: Floats) -> Floats:
        """Thin lines at multiples of `period`, faded where they are thinner than a pixel."""
        away = np.abs((value + period / 2) % period - period / 2)
        return np.asarray(np.clip(1 - away / (width + blur), 0, 1) * np.clip(width / (blur + 1e-6), 0, 1), np.float32)


def _band(value: Floats, low: float, high: float, blur: Floats) -> Floats:
    """1 from `low` to `high`, with edges one pixel soft."""
    rise = np.clip((value - low) / blur + 0.5, 0, 1)
    return np.asarray(rise * np.clip((high - value) / blur + 0.5, 0, 1), np.float32)

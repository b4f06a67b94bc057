"""Weather presets: sky, haze, shadows and camera exposure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hyperseg_street.canvas import Colour, Haze, Pixels
from hyperseg_street.noise import fractal


@dataclass(frozen=True)
class Weather:
    """One weather condition; colours are RGB at the camera's normal exposure."""

    zenith: Colour
    horizon: Colour
    clouds: float
    """Share of the sky that clouds cover."""
    visibility: float
    """Metres after which half of the contrast is gone."""
    shadows: float
    """Depth of the shadows that buildings and trees throw on the street, 0 to 1."""
    gain: float
    warmth: float
    """Red over blue; 1 is neutral."""
    grain: float

    @property
    def haze(self) -> Haze:
        """Haze in the colour of the horizon."""
        return Haze(self.horizon, self.visibility)

    def sky(self, height: int, width: int, drift: float, rng: np.random.Generator) -> Pixels:
        """The sky over the horizon, uint8 [height, width, 3]; `drift` in pixels moves the clouds."""
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** 1.4
        clear = np.array(self.zenith, np.float32) * (1 - down) + np.array(self.horizon, np.float32) * down
        noise = fractal(256, 5, rng)
        rows = 60 / (1.08 - np.linspace(0, 1, height, dtype=np.float32))[:, None]
        columns = np.linspace(-1, 1, width, dtype=np.float32)[None] * rows + 128 + drift
        grid = np.broadcast_to(rows, (height, width)) % 256, columns % 256
        cover = cv2.remap(noise, grid[1], np.ascontiguousarray(grid[0]), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        cover = np.clip((cover - (1 - self.clouds)) * 4, 0, 1)[..., None] * 0.85
        cloud = np.array(self.horizon, np.float32) * 0.5 + 122
        return np.asarray(np.clip(clear * (1 - cover) + cloud * cover, 0, 255), np.uint8)

    def expose(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        """Apply exposure, white balance, vignetting and film grain."""
        height, width = image.shape[:2]
        y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
        corners = (1 - 0.12 * (x * x + y * y))[..., None]
        balance = np.array([self.warmth**0.5, 1.0, self.warmth**-0.5], np.float32) * self.gain
        grain = rng.standard_normal((height, width, 1), dtype=np.float32) * self.grain
        return np.asarray(np.clip(image * corners * balance + grain, 0, 255), np.uint8)


SUNNY = Weather((92, 138, 200), (205, 220, 235), 0.35, 420, 0.42, 1.04, 1.06, 2.0)
OVERCAST = Weather((178, 184, 192), (214, 217, 220), 0.75, 230, 0.1, 0.95, 1.0, 2.5)
DUSK = Weather((96, 112, 150), (226, 190, 160), 0.45, 300, 0.18, 0.72, 1.16, 4.0)
HAZE = Weather((196, 202, 208), (222, 225, 228), 0.5, 95, 0.12, 1.02, 1.02, 2.0)

ALL = (SUNNY, OVERCAST, DUSK, HAZE)

"""Street renderer: frames of a drive with exact labels in CamVid's classes, deterministic in seed and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from hyperseg_street.camera import Camera
from hyperseg_street.canvas import SUPERSAMPLING, Canvas, Label, Pixels
from hyperseg_street.ground import Ground
from hyperseg_street.scene import scene_at
from hyperseg_street.weather import ALL, Weather

SIGHT = 170.0
_SPEED = 8.0


@dataclass(frozen=True)
class Frame:
    """A frame: `image` uint8 [H, W, 3] RGB and `label` uint8 [H, W] of CamVid's 11 classes; no pixel is void."""

    image: Pixels
    label: Pixels


@dataclass(frozen=True)
class Street:
    """An endless street and its weather, seen from a car that drives along it."""

    seed: int = 0
    height: int = 480
    width: int = 640
    weather: Weather | None = None
    """None chooses one by the seed."""

    def frame(self, time: float) -> Frame:
        """Render the view at `time` seconds."""
        camera = self._camera(time)
        canvas = self._background(camera)
        shaded = self._shaded_brightness
        scene = scene_at(self.seed, time, camera.z, SIGHT)
        for item in (*scene.background, *scene.foreground):
            item.draw(canvas, camera, shaded if self._in_shade(item) else 1.0)
        image, label = canvas.finished()
        grain = np.random.default_rng((self.seed, 4, round(time * 1000)))
        return Frame(self._chosen_weather.expose(image, grain), label)

    @cached_property
    def _chosen_weather(self) -> Weather:
        if self.weather is not None:
            return self.weather
        return ALL[int(np.random.default_rng((self.seed, 5)).integers(len(ALL)))]

    @cached_property
    def _ground(self) -> Ground:
        return Ground.random(np.random.default_rng((self.seed, 6)))

    @property
    def _shaded_brightness(self) -> float:
        """Brightness of the shaded side."""
        return 1 - 0.9 * self._chosen_weather.shadows

    @cached_property
    def _shaded_side(self) -> int:
        return 1 if np.random.default_rng((self.seed, 7)).random() < 0.5 else -1

    def _in_shade(self, item: object) -> bool:
        return float(getattr(item, "x", 0.0)) * self._shaded_side > 3.0

    def _camera(self, time: float) -> Camera:
        rng = np.random.default_rng((self.seed, 8))
        phase = rng.uniform(0, 6, 3)
        scale = SUPERSAMPLING
        return Camera(
            x=-1.2 + 0.15 * math.sin(0.5 * time + phase[0]),
            y=float(rng.uniform(1.25, 1.5)),
            z=float(rng.uniform(0, 1000)) + _SPEED * time,
            yaw=0.02 * math.sin(0.45 * time + phase[1]) + float(rng.uniform(-0.015, 0.015)),
            focal=float(rng.uniform(0.92, 1.08)) * self.width * scale,
            horizon=(float(rng.uniform(0.42, 0.5)) + 0.004 * math.sin(3 * time + phase[2])) * self.height * scale,
            width=self.width * scale,
            height=self.height * scale,
        )

    def _background(self, camera: Camera) -> Canvas:
        """Draw the sky, a distant tree line and the ground."""
        weather = self._chosen_weather
        image = np.empty((camera.height, camera.width, 3), np.uint8)
        label = np.full((camera.height, camera.width), Label.SKY, np.uint8)
        half = _halved(camera)
        drift = 60 * camera.yaw
        rows = max(2, math.ceil(half.horizon) + 2)
        sky = weather.sky(rows, half.width, drift, np.random.default_rng((self.seed, 9)))
        image[: rows * SUPERSAMPLING] = _doubled(sky)[: camera.height]
        canvas = Canvas(image, label, weather.haze)
        self._skyline(canvas, camera)
        ground, ground_label, top = self._ground.render(half, weather.shadows, self._shaded_side)
        depth = half.focal * half.y / (np.arange(top, half.height) + 0.5 - half.horizon)
        share = np.array([weather.haze.fade(float(value)) for value in depth], np.float32)[:, None, None]
        hazy = ground * (1 - share) + np.array(weather.haze.colour, np.float32) * share
        image[top * SUPERSAMPLING :] = _doubled(hazy.astype(np.uint8))
        label[top * SUPERSAMPLING :] = np.repeat(np.repeat(ground_label, SUPERSAMPLING, 0), SUPERSAMPLING, 1)
        return canvas

    def _skyline(self, canvas: Canvas, camera: Camera) -> None:
        """Trees at the end of the street, where the sight ends."""
        across = np.linspace(-60, camera.width + 60, 160)
        angle = np.arctan((across - camera.width / 2) / camera.focal) - camera.yaw
        rise = 7 + 2.2 * np.sin(90 * angle + self.seed) + 1.5 * np.sin(217 * angle) + 0.8 * np.sin(611 * angle)
        top = camera.horizon - camera.focal * (rise - camera.y) / SIGHT
        base = np.full(2, camera.horizon + camera.focal * camera.y / SIGHT + 2 * SUPERSAMPLING)
        outline = np.stack([[*across, across[-1], across[0]], [*top, *base]], axis=1)
        canvas.polygon(outline, (74.0, 88.0, 62.0), Label.TREE, SIGHT)


def _halved(camera: Camera) -> Camera:
    """The camera at the final size, without supersampling."""
    return Camera(
        camera.x,
        camera.y,
        camera.z,
        camera.yaw,
        camera.focal / SUPERSAMPLING,
        camera.horizon / SUPERSAMPLING,
        camera.width // SUPERSAMPLING,
        camera.height // SUPERSAMPLING,
    )


def _doubled(image: Pixels) -> Pixels:
    size = (image.shape[1] * SUPERSAMPLING, image.shape[0] * SUPERSAMPLING)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)

"""Street furniture: lamp posts, traffic lights, signs and fences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np

from hyperseg_street.camera import NEAR, Camera
from hyperseg_street.canvas import Canvas, Colour, Label, Pixels
from hyperseg_street.facades import paste_plane

_STEEL: Colour = (92, 96, 98)


@dataclass(frozen=True)
class Lamp:
    """A lamp post with an arm over the road; `height` in metres."""

    x: float
    z: float
    height: float = 7.5

    @property
    def order(self) -> float:
        return self.z

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        depth = camera.distance(self.x, self.z)
        colour = _lit(_STEEL, shade)
        _post(canvas, camera, self.x, self.z, self.height, 0.16, colour)
        reach = -math.copysign(1.6, self.x)
        arm = [(0.0, self.height), (reach, self.height + 0.3), (reach, self.height + 0.18), (0.0, self.height - 0.15)]
        points = np.array([[self.x + across, up, self.z] for across, up in arm])
        canvas.polygon(camera.polygon(points), colour, Label.POLE, depth)


class Face(Enum):
    """Kinds of signs."""

    ROUND = "round"
    TRIANGLE = "triangle"
    BOARD = "board"
    LIGHTS = "lights"


@dataclass(frozen=True)
class Sign:
    """A sign or traffic light on a post."""

    x: float
    z: float
    face: Face
    colour: Colour
    lit: int = 0
    """Index of the lamp that is on, from the top."""

    @property
    def order(self) -> float:
        return self.z

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        depth = camera.distance(self.x, self.z)
        _post(canvas, camera, self.x, self.z, 2.7, 0.1, _lit(_STEEL, shade))
        rim, inner = _lit((176, 30, 32), shade), _lit((226, 226, 222), shade)
        if self.face is Face.ROUND:
            self._plate(canvas, camera, _circle(0.36), rim, depth)
            self._plate(canvas, camera, _circle(0.27), _lit(self.colour, shade), depth)
        elif self.face is Face.TRIANGLE:
            self._plate(canvas, camera, [(-0.42, -0.3), (0.0, 0.42), (0.42, -0.3)], rim, depth)
            self._plate(canvas, camera, [(-0.27, -0.21), (0.0, 0.25), (0.27, -0.21)], inner, depth)
        elif self.face is Face.BOARD:
            self._plate(canvas, camera, _box(0.55, 0.42), inner, depth)
            self._plate(canvas, camera, _box(0.5, 0.37), _lit(self.colour, shade), depth)
            for up in (0.18, -0.02, -0.22):
                self._plate(canvas, camera, _box(0.36, 0.045, up), inner, depth)
        else:
            self._plate(canvas, camera, _box(0.2, 0.55), _lit((26, 28, 28), shade), depth)
            bright: tuple[Colour, ...] = ((232, 44, 36), (238, 170, 40), (60, 214, 140))
            for index, colour in enumerate(bright):
                shown = colour if index == self.lit else _lit(colour, 0.28)
                self._plate(canvas, camera, _circle(0.12, 0.32 - 0.32 * index), shown, depth)

    def _plate(
        self, canvas: Canvas, camera: Camera, outline: list[tuple[float, float]], colour: Colour, depth: float
    ) -> None:
        points = np.array([[self.x + across, 2.75 + up, self.z] for across, up in outline])
        canvas.polygon(camera.polygon(points), colour, Label.SIGN, depth)


@dataclass(frozen=True)
class Fence:
    """Railings along the street; the gaps between the bars count as fence, as CamVid has it."""

    x: float
    start: float
    end: float
    height: float
    colour: Colour

    @property
    def order(self) -> float:
        return self.end

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        near = camera.z + NEAR + 0.4 + abs(camera.yaw) * abs(self.x - camera.x)
        start = max(self.start, near)
        if start >= self.end - 0.05:
            return
        texture, bars = railings(round(self.end - self.start), self.colour)
        cut = (start - self.start) / (self.end - self.start) * texture.shape[1]
        x, top = self.x, self.height
        corners = np.array([[x, top, start], [x, top, self.end], [x, 0, self.end], [x, 0, start]])
        paste_plane(canvas, camera, texture, bars, corners, cut, Label.FENCE, shade)


@lru_cache(maxsize=32)
def railings(length: int, colour: Colour) -> tuple[Pixels, Pixels]:
    """Texture and opacity mask of railings `length` metres long, at 40 pixels per metre."""
    height, width = 48, max(2, length) * 40
    cover = np.zeros((height, width), np.uint8)
    across = np.arange(width)
    cover[:, across % 6 < 3] = 255
    cover[:, across % 100 < 5] = 255
    cover[2:7] = cover[-9:-3] = 255
    texture = np.empty((height, width, 3), np.uint8)
    texture[:] = np.array(colour, np.uint8)
    texture[:, across % 6 == 0] = np.minimum(np.array(colour) * 1.5, 255).astype(np.uint8)
    return texture, cover


def _post(canvas: Canvas, camera: Camera, x: float, z: float, height: float, width: float, colour: Colour) -> None:
    foot = camera.point(x, 0.0, z)
    if foot is None:
        return
    across, down, scale = foot
    canvas.stroke(
        (across, down), (across, down - height * scale), width * scale, colour, Label.POLE, camera.distance(x, z)
    )


def _circle(radius: float, up: float = 0.0) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, 17)[:-1]
    return [(radius * math.cos(angle), up + radius * math.sin(angle)) for angle in angles]


def _box(half_width: float, half_height: float, up: float = 0.0) -> list[tuple[float, float]]:
    w, h = half_width, half_height
    return [(-w, up - h), (-w, up + h), (w, up + h), (w, up - h)]


def _lit(colour: Colour, shade: float) -> Colour:
    return colour[0] * shade, colour[1] * shade, colour[2] * shade

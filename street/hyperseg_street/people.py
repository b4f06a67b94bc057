"""Pedestrians and cyclists, drawn as animated limbs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hyperseg_street.camera import Camera
from hyperseg_street.canvas import Canvas, Colour, Label

CLOTHES: tuple[Colour, ...] = (
    (44, 46, 58),
    (96, 34, 38),
    (54, 78, 112),
    (120, 112, 98),
    (30, 32, 34),
    (150, 140, 128),
    (70, 88, 62),
    (172, 62, 44),
)
_SKIN: Colour = (196, 152, 126)
_HAIR: Colour = (52, 40, 32)


@dataclass(frozen=True)
class Pedestrian:
    """A walking pedestrian: `height` in metres, `phase` of the step in radians."""

    x: float
    z: float
    height: float
    phase: float
    coat: Colour
    trousers: Colour

    @property
    def order(self) -> float:
        return self.z

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        found = camera.point(self.x, 0.0, self.z)
        if found is None:
            return
        body = _Body(canvas, (found[0], found[1]), found[2] * self.height, camera.distance(self.x, self.z), shade)
        swing = 0.16 * math.sin(self.phase)
        for sign in (-1, 1):
            body.limb((0.0, 0.5), (sign * swing * 0.6, 0.26), 0.105, self.trousers)
            body.limb((sign * swing * 0.6, 0.28), (sign * swing, 0.02), 0.085, self.trousers)
        body.limb((0, 0.46), (0, 0.82), 0.26, self.coat)
        for sign in (-1, 1):
            body.limb((sign * 0.12, 0.8), (sign * 0.15 - sign * swing * 0.7, 0.48), 0.075, self.coat)
        body.ball((0, 0.92), (0.062, 0.08), _SKIN)
        body.ball((0, 0.95), (0.064, 0.055), _HAIR)


@dataclass(frozen=True)
class Cyclist:
    """A cyclist, seen from behind or in front; the bicycle counts as part of the cyclist."""

    x: float
    z: float
    phase: float
    coat: Colour

    @property
    def order(self) -> float:
        return self.z

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        found = camera.point(self.x, 0.0, self.z)
        if found is None:
            return
        body = _Body(
            canvas, (found[0], found[1]), found[2] * 1.75, camera.distance(self.x, self.z), shade, Label.CYCLIST
        )
        body.limb((0, 0.0), (0, 0.42), 0.05, (30, 30, 32))
        body.limb((-0.16, 0.6), (0.16, 0.6), 0.03, (60, 60, 62))
        for sign in (-1, 1):
            lift = 0.07 * math.sin(self.phase + math.pi * (sign > 0))
            body.limb((sign * 0.07, 0.54), (sign * 0.1, 0.34 + lift), 0.1, (40, 42, 52))
            body.limb((sign * 0.1, 0.36 + lift), (sign * 0.08, 0.14 + lift), 0.075, (40, 42, 52))
            body.limb((sign * 0.13, 0.84), (sign * 0.19, 0.62), 0.075, self.coat)
        body.limb((0, 0.5), (0, 0.86), 0.27, self.coat)
        body.ball((0, 0.95), (0.065, 0.08), _SKIN)
        body.ball((0, 0.99), (0.072, 0.05), (210, 60, 50))


@dataclass(frozen=True)
class _Body:
    """A figure drawn in units of its height, from the feet up."""

    canvas: Canvas
    feet: tuple[float, float]
    scale: float
    depth: float
    shade: float
    label: Label = Label.PEDESTRIAN

    def limb(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        self.canvas.stroke(
            self._at(start), self._at(end), width * self.scale, self._lit(colour), self.label, self.depth
        )

    def ball(self, centre: tuple[float, float], axes: tuple[float, float], colour: Colour) -> None:
        size = (axes[0] * self.scale, axes[1] * self.scale)
        self.canvas.ellipse(self._at(centre), size, self._lit(colour), self.label, self.depth)

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        return self.feet[0] + point[0] * self.scale, self.feet[1] - point[1] * self.scale

    def _lit(self, colour: Colour) -> Colour:
        return colour[0] * self.shade, colour[1] * self.shade, colour[2] * self.shade

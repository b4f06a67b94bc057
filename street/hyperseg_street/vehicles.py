"""Cars, drawn as coloured faces: the visible side, front or rear, roof, windows, wheels and lights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hyperseg_street.camera import Camera, Points
from hyperseg_street.canvas import Canvas, Colour, Label

PAINTS: tuple[Colour, ...] = (
    (176, 178, 180),
    (38, 40, 44),
    (150, 28, 30),
    (34, 52, 98),
    (214, 214, 212),
    (98, 102, 106),
    (44, 72, 60),
    (168, 150, 110),
)
_GLASS: Colour = (44, 52, 60)
_TYRE: Colour = (28, 28, 30)

Outline = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shape:
    """Dimensions of a car in metres and its side view: `hull` and `cabin` as (along, up) from the rear."""

    width: float
    hull: Outline
    cabin: Outline
    wheels: tuple[float, float] = (0.8, 3.3)

    @property
    def length(self) -> float:
        return max(along for along, _ in self.hull)


HATCHBACK = Shape(
    1.72,
    ((0.0, 0.24), (0.0, 0.88), (0.1, 0.95), (2.9, 0.92), (3.95, 0.74), (4.05, 0.24)),
    ((0.06, 0.92), (0.5, 1.42), (1.0, 1.47), (2.0, 1.44), (2.95, 0.92)),
)
SALOON = Shape(
    1.78,
    ((0.0, 0.24), (0.0, 0.9), (0.9, 0.96), (3.3, 0.92), (4.4, 0.72), (4.5, 0.24)),
    ((0.5, 0.94), (1.25, 1.4), (1.7, 1.44), (2.5, 1.42), (3.35, 0.92)),
    (0.85, 3.65),
)
VAN = Shape(
    1.9,
    ((0.0, 0.28), (0.0, 1.1), (3.6, 1.1), (4.6, 0.95), (4.8, 0.28)),
    ((0.0, 1.08), (0.08, 2.15), (3.1, 2.2), (3.95, 1.1)),
    (0.9, 3.8),
)
SHAPES = (HATCHBACK, SALOON, HATCHBACK, SALOON, VAN)


@dataclass(frozen=True)
class Car:
    """A car with its rear at Z = `z`, or its front if it is `oncoming`."""

    x: float
    z: float
    shape: Shape
    paint: Colour
    oncoming: bool

    @property
    def order(self) -> float:
        return self.z

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None:
        depth = camera.distance(self.x, self.z)
        if depth < -self.shape.length:
            return
        half = self.shape.width / 2
        side = self.x - half if camera.x < self.x else self.x + half
        self._shadow(canvas, camera, depth)
        paint = [value * shade for value in self.paint]
        flank, back, top = (_times(paint, factor) for factor in (0.82, 0.95, 1.16))
        self._tyres(canvas, camera, depth)
        self._roof(canvas, camera, top, depth)
        self._outline(canvas, camera, self.shape.cabin, side, flank, depth)
        self._outline(canvas, camera, _shrunk(self.shape.cabin), side, _GLASS, depth)
        self._outline(canvas, camera, self.shape.hull, side, flank, depth)
        for along in self.shape.wheels:
            self._wheel(canvas, camera, along, side, depth)
        self._end(canvas, camera, back, depth)

    def _place(self, along: float) -> float:
        return self.z + (self.shape.length - along if self.oncoming else along)

    def _outline(
        self,
        canvas: Canvas,
        camera: Camera,
        outline: Outline,
        x: float,
        colour: Colour,
        depth: float,
    ) -> None:
        points = np.array([[x, up, self._place(along)] for along, up in outline])
        canvas.polygon(camera.polygon(points), colour, Label.CAR, depth)

    def _across(self, low: tuple[float, float], high: tuple[float, float], inset: float = 0.0) -> Points:
        """Face across the car between two points of its outline."""
        left, right = self.x - self.shape.width / 2 + inset, self.x + self.shape.width / 2 - inset
        corners = [(left, low), (left, high), (right, high), (right, low)]
        return np.array([[x, up, self._place(along)] for x, (along, up) in corners])

    def _roof(self, canvas: Canvas, camera: Camera, colour: Colour, depth: float) -> None:
        cabin = self.shape.cabin
        for low, high in pairwise(cabin[1:-1]):
            canvas.polygon(camera.polygon(self._across(low, high, 0.12)), colour, Label.CAR, depth)

    def _end(self, canvas: Canvas, camera: Camera, colour: Colour, depth: float) -> None:
        """Draw the end that faces the camera: the rear, or the front of an oncoming car."""
        hull, cabin = self.shape.hull, self.shape.cabin
        if self.oncoming:
            hull, cabin = hull[::-1], cabin[::-1]
        canvas.polygon(camera.polygon(self._across(cabin[0], cabin[1], 0.06)), _times(colour, 0.9), Label.CAR, depth)
        canvas.polygon(camera.polygon(self._between(cabin[0], cabin[1], 0.12, 0.9, 0.2)), _GLASS, Label.CAR, depth)
        for low, high in ((hull[1], hull[2]), (hull[2], cabin[0])):
            canvas.polygon(camera.polygon(self._across(low, high)), _times(colour, 1.08), Label.CAR, depth)
        canvas.polygon(camera.polygon(self._across(hull[0], hull[1])), colour, Label.CAR, depth)
        self._details(canvas, camera, hull[0], hull[1], depth)

    def _between(
        self, low: tuple[float, float], high: tuple[float, float], start: float, stop: float, inset: float
    ) -> Points:
        def mixed(share: float) -> tuple[float, float]:
            return low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1])

        return self._across(mixed(start), mixed(stop), inset)

    def _details(
        self, canvas: Canvas, camera: Camera, low: tuple[float, float], high: tuple[float, float], depth: float
    ) -> None:
        light: Colour = (232, 232, 214) if self.oncoming else (168, 22, 20)
        plate: Colour = (226, 226, 222) if self.oncoming else (222, 190, 60)
        bumper = self._between(low, high, 0.0, 0.3, 0.0)
        canvas.polygon(camera.polygon(bumper), _times(self.paint, 0.5), Label.CAR, depth)
        width = self.shape.width
        for left in (0.04, width - 0.34):
            canvas.polygon(camera.polygon(self._patch(low, high, (0.55, 0.92), left, 0.3)), light, Label.CAR, depth)
        canvas.polygon(
            camera.polygon(self._patch(low, high, (0.34, 0.54), width / 2 - 0.26, 0.52)), plate, Label.CAR, depth
        )

    def _patch(
        self, low: tuple[float, float], high: tuple[float, float], share: tuple[float, float], left: float, width: float
    ) -> Points:
        points = self._between(low, high, share[0], share[1], 0.0)
        start = self.x - self.shape.width / 2 + left
        points[:2, 0], points[2:, 0] = start, start + width
        return points

    def _wheel(self, canvas: Canvas, camera: Camera, along: float, side: float, depth: float) -> None:
        for radius, colour in ((0.32, _TYRE), (0.18, (140.0, 142.0, 146.0))):
            angles = np.linspace(0, 2 * np.pi, 15)[:-1]
            z = self._place(along) + radius * np.cos(angles)
            points = np.stack([np.full(14, side), 0.32 + radius * np.sin(angles), z], axis=1)
            canvas.polygon(camera.polygon(points), colour, Label.CAR, depth)

    def _tyres(self, canvas: Canvas, camera: Camera, depth: float) -> None:
        """Draw the wheels as seen from the end, below the hull."""
        place = self._place(self.shape.wheels[1 if self.oncoming else 0])
        for left in (0.06, self.shape.width - 0.28):
            x = self.x - self.shape.width / 2 + left
            corners = [[x, 0.0, place], [x, 0.4, place], [x + 0.22, 0.4, place], [x + 0.22, 0.0, place]]
            canvas.polygon(camera.polygon(np.array(corners)), _TYRE, Label.CAR, depth)

    def _shadow(self, canvas: Canvas, camera: Camera, depth: float) -> None:
        half, length = self.shape.width / 2, self.shape.length
        flat = [(-half, 0.15), (-half, length), (half, length), (half, 0.15)]
        points = np.array([[self.x + x, 0.02, self.z + z] for x, z in flat])
        canvas.polygon(camera.polygon(points), (40, 40, 43), Label.ROAD, depth)


def _times(colour: Colour | list[float], factor: float) -> Colour:
    red, green, blue = (min(255.0, value * factor) for value in colour)
    return red, green, blue


def _shrunk(outline: Outline) -> Outline:
    """Shrink an outline: the windows within the cabin."""
    centre = np.mean(outline, axis=0)
    inner = (np.array(outline) - centre) * [0.86, 0.74] + centre
    return tuple((float(along), float(up)) for along, up in inner)

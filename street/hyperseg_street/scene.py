"""Scene layout: an endless street of segments, each generated from the seed, its side and its index."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from hyperseg_street.camera import Camera
from hyperseg_street.canvas import Canvas
from hyperseg_street.facades import Building
from hyperseg_street.furniture import Face, Fence, Lamp, Sign
from hyperseg_street.ground import ROAD
from hyperseg_street.people import CLOTHES, Cyclist, Pedestrian
from hyperseg_street.vegetation import LOOKS, Tree
from hyperseg_street.vehicles import PAINTS, SHAPES, Car

SEGMENT = 28.0
"""Length of a segment in metres."""
_OUTER = 8.0
"""Distance of the house fronts from the centre line."""


class Drawable(Protocol):
    """An object that can be drawn; objects are drawn in decreasing `order`, their position along the street."""

    @property
    def order(self) -> float: ...

    def draw(self, canvas: Canvas, camera: Camera, shade: float) -> None: ...


@dataclass(frozen=True)
class Scene:
    """The objects of a street at one time: `background` lines the street, `foreground` stands in front of it."""

    background: tuple[Drawable, ...]
    foreground: tuple[Drawable, ...]


def scene_at(seed: int, time: float, z: float, sight: float) -> Scene:
    """Generate the scene at `time` seconds between Z = `z` - 10 and `z` + `sight`."""
    background: list[Drawable] = []
    foreground: list[Drawable] = []
    for number in range(math.floor((z - 10) / SEGMENT), math.ceil((z + sight) / SEGMENT)):
        for side in (-1, 1):
            rng = np.random.default_rng((seed, 1, number + 1_000_000, side + 1))
            back, front = _segment(rng, side, number * SEGMENT, time)
            background += back
            foreground += front
    foreground += _traffic(seed, time, z, sight)
    return Scene(tuple(_far_first(background)), tuple(_far_first(foreground)))


def _far_first(objects: list[Drawable]) -> list[Drawable]:
    return sorted(objects, key=lambda item: -item.order)


def _segment(rng: np.random.Generator, side: int, start: float, time: float) -> tuple[list[Drawable], list[Drawable]]:
    built = rng.random() < 0.72
    background: list[Drawable] = _houses(rng, side, start) if built else _park(rng, side, start)
    foreground: list[Drawable] = (
        [] if built else [Fence(side * (_OUTER - 0.3), start, start + SEGMENT, 1.25, _railing(rng))]
    )
    foreground.append(Lamp(side * (ROAD + 0.6), start + rng.uniform(0, 6), rng.uniform(6.5, 8.5)))
    if rng.random() < 0.5:
        foreground += [Tree(side * 6.3, start + rng.uniform(2, 26), rng.uniform(5, 8.5), int(rng.integers(LOOKS)))]
    if rng.random() < 0.7:
        foreground.append(_sign(rng, side, start))
    if rng.random() < 0.25:
        foreground.append(
            Fence(side * (ROAD + 0.45), start + 9, start + 9 + float(rng.integers(6, 14)), 1.05, _railing(rng))
        )
    for _ in range(int(rng.poisson(1.7))):
        foreground.append(_pedestrian(rng, side, start, time))
    for place in np.arange(start + 1, start + SEGMENT - 5, 6.2):
        if rng.random() < 0.42:
            shape = SHAPES[int(rng.integers(len(SHAPES)))]
            foreground.append(
                Car(side * (ROAD - 0.98), float(place + rng.uniform(0, 0.8)), shape, _paint(rng), side > 0)
            )
    return background, foreground


def _houses(rng: np.random.Generator, side: int, start: float) -> list[Drawable]:
    x = side * _OUTER
    cuts = [start, start + float(rng.uniform(8, 11)), start + float(rng.uniform(17, 20)), start + SEGMENT]
    return [
        Building(x + side * float(rng.uniform(0, 0.5)), a, b, float(rng.uniform(6.5, 13)), int(rng.integers(1 << 16)))
        for a, b in pairwise(cuts)
    ]


def _park(rng: np.random.Generator, side: int, start: float) -> list[Drawable]:
    far = Building(side * 24.0, start, start + SEGMENT, float(rng.uniform(6, 11)), int(rng.integers(1 << 16)))
    rows = [(9.5, 4.5), (13.0, 6.5), (17.0, 8.0)]
    trees = [
        Tree(
            side * (x + float(rng.uniform(0, 2))),
            start + float(along),
            float(rng.uniform(4, 6) + tall),
            int(rng.integers(LOOKS)),
        )
        for x, tall in rows
        for along in np.arange(rng.uniform(0, 3), SEGMENT, 4.2)
    ]
    return [far, *trees]


def _railing(rng: np.random.Generator) -> tuple[float, float, float]:
    shades = ((52.0, 56.0, 58.0), (66.0, 78.0, 70.0), (120.0, 122.0, 120.0))
    return shades[int(rng.integers(len(shades)))]


def _sign(rng: np.random.Generator, side: int, start: float) -> Sign:
    face = list(Face)[int(rng.integers(4))]
    colours = ((222.0, 222.0, 218.0), (34.0, 72.0, 150.0), (30.0, 96.0, 66.0))
    return Sign(
        side * (ROAD + 0.55), start + rng.uniform(8, 24), face, colours[int(rng.integers(3))], int(rng.integers(3))
    )


def _pedestrian(rng: np.random.Generator, side: int, start: float, time: float) -> Pedestrian:
    pace = float(rng.uniform(1.0, 1.6)) * (1 if rng.random() < 0.5 else -1)
    coat, trousers = (CLOTHES[int(index)] for index in rng.integers(len(CLOTHES), size=2))
    return Pedestrian(
        side * float(rng.uniform(5.0, 7.2)),
        start + float(rng.uniform(0, SEGMENT)) + pace * time,
        float(rng.uniform(1.6, 1.88)),
        float(rng.uniform(0, 6)) + abs(pace) * 4.4 * time,
        coat,
        trousers,
    )


def _paint(rng: np.random.Generator) -> tuple[float, float, float]:
    return PAINTS[int(rng.integers(len(PAINTS)))]


def _traffic(seed: int, time: float, z: float, sight: float) -> Iterator[Drawable]:
    """Moving cars and cyclists: a vehicle ahead, a cyclist, and a column of oncoming cars."""
    rng = np.random.default_rng((seed, 2))
    ahead = z + float(rng.uniform(16, 28)) + 3 * math.sin(time * 0.4)
    yield Car(-1.3, ahead, SHAPES[int(rng.integers(len(SHAPES)))], _paint(rng), False)
    if rng.random() < 0.8:
        yield Cyclist(-1.95, z + float(rng.uniform(8, 13)) + 1.5 * math.sin(time * 0.5 + 1), 5 * time, CLOTHES[7])
    gap, speed = 38.0, 9.0
    first = math.floor((z + speed * time) / gap)
    for number in range(first, first + math.ceil(sight / gap) + 1):
        each = np.random.default_rng((seed, 3, number + 1_000_000))
        place = number * gap + float(each.uniform(0, 20)) - speed * time
        car = Car(1.3, place, SHAPES[int(each.integers(len(SHAPES)))], _paint(each), True)
        if each.random() < 0.6 and place > z - 6:
            yield car

"""Made pictures of cups and plates on a table, with labels of their pixels: a data set of classes that no model knows.

    python benchmarks/table_scenes.py FOLDER        40 images in FOLDER/images/train, 20 in FOLDER/images/val

Cups and plates are drawn from one range of colours and materials, so that shape and not colour tells them apart. Tables
are planks, cloths or stone; shadows, light from one side, blur, clutter (napkins, cutlery) and noise are random.
"""

from __future__ import annotations

import math
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

CLASSES = ("table", "plate", "cup")
PALETTE = ((160, 110, 60), (70, 150, 230), (235, 70, 90))
SIZE = (240, 320)
"""Height and width."""

_VOID = 255
TABLE, PLATE, CUP = range(3)


def scene(seed: int, size: tuple[int, int] = SIZE) -> tuple[Pixels, Pixels]:
    """One picture BGR uint8 [H, W, 3], with its label uint8 [H, W]."""
    rng = np.random.default_rng((20210, seed))
    height, width = size
    image = _table(rng, height, width)
    label = np.full((height, width), TABLE, np.uint8)
    _clutter(rng, image)
    for _ in range(int(rng.integers(2, 6))):
        centre = (float(rng.uniform(0.05, 0.95) * width), float(rng.uniform(0.1, 0.95) * height))
        scale = float(rng.uniform(0.09, 0.17)) * width
        (_plate if rng.random() < 0.5 else _cup)(rng, image, label, centre, scale)
    return _photograph(rng, image), label


def _colour(rng: np.random.Generator) -> Floats:
    """A colour of earthenware, for cups and plates alike: mostly pale, at times strong."""
    hue, strength = rng.uniform(0, 180), rng.choice([rng.uniform(0, 50), rng.uniform(60, 190)])
    pixel = np.array([[[hue, strength, rng.uniform(110, 250)]]], np.uint8)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0], np.float32)


def _noise(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> Floats:
    """Smooth noise in [-1, 1] with cells of (height, width) pixels."""
    coarse = rng.uniform(-1, 1, (max(2, int(height / cell[0])), max(2, int(width / cell[1])))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _table(rng: np.random.Generator, height: int, width: int) -> Floats:
    image = np.empty((height, width, 3), np.float32)
    image[:] = _colour(rng) * rng.uniform(0.4, 1.0)
    kind = rng.integers(3)
    if kind == 0:  # planks with their grain
        plank = int(rng.integers(24, 60))
        for top in range(0, height, plank):
            grain = 14 * _noise(rng, plank, width, (2, 60)) + rng.uniform(-14, 14)
            rows = image[top : top + plank]
            rows += grain[: len(rows), :, None]
            image[top : top + 1] *= 0.6
    elif kind == 1:  # a chequered cloth
        cell, other = int(rng.integers(10, 30)), _colour(rng)
        y, x = np.mgrid[:height, :width]
        turned = rng.uniform(0, math.pi)
        u, v = x * math.cos(turned) + y * math.sin(turned), y * math.cos(turned) - x * math.sin(turned)
        share = 0.35 * ((u // cell % 2) + (v // cell % 2))
        image += share[..., None].astype(np.float32) * (other - image)
    else:  # stone
        for cell in (4, 12, 40):
            image += 9 * _noise(rng, height, width, (cell, cell))[..., None]
    return image


def _clutter(rng: np.random.Generator, image: Floats) -> None:
    """Napkins and cutlery, which belong to the table."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(0, 4))):
        x, y, long = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(30, 80)
        angle, wide = rng.uniform(0, 180), rng.choice([rng.uniform(3, 6), rng.uniform(25, 60)])
        corners = cv2.boxPoints(((x, y), (long, wide), angle))
        colour = _colour(rng) * rng.uniform(0.6, 1.0)
        cv2.fillConvexPoly(image, np.int32(corners), colour.tolist(), cv2.LINE_AA)


def _shadow(rng: np.random.Generator, image: Floats, mask: Pixels, depth: float) -> None:
    shift = np.float32([[1, 0, rng.uniform(0.2, 1.0) * depth], [0, 1, rng.uniform(0.1, 0.6) * depth]])
    cast = cv2.warpAffine(mask, shift, mask.shape[::-1])
    soft = cv2.GaussianBlur(cast, (0, 0), max(1.0, depth / 4)).astype(np.float32) / 255
    image *= 1 - 0.5 * soft[..., None]


def _paint(image: Floats, mask: Pixels, colour: Floats) -> None:
    alpha = (cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float32) / 255)[..., None]
    image += alpha * (colour - image)


def _ellipse(shape: tuple[int, ...], centre: tuple[float, float], axes: tuple[float, float], angle: float) -> Pixels:
    mask = np.zeros(shape[:2], np.uint8)
    box = (tuple(map(float, centre)), (2 * axes[0], 2 * axes[1]), angle)
    cv2.ellipse(mask, box, 255, -1, cv2.LINE_AA)
    return mask


def _plate(rng: np.random.Generator, image: Floats, label: Pixels, centre: tuple[float, float], scale: float) -> None:
    """A disc in perspective, with a rim and at times food on it."""
    flat, angle, colour = rng.uniform(0.55, 0.95), rng.uniform(-8, 8), _colour(rng)
    axes = (scale, scale * flat)
    outer = _ellipse(image.shape, centre, axes, angle)
    _shadow(rng, image, outer, scale * 0.15)
    _paint(image, outer, colour)
    _paint(image, _ellipse(image.shape, centre, (axes[0] * 0.72, axes[1] * 0.72), angle), colour * 0.82)
    _paint(image, _ellipse(image.shape, (centre[0], centre[1] + 1), (axes[0] * 0.68, axes[1] * 0.68), angle), colour)
    for _ in range(int(rng.integers(0, 4))):
        place = (centre[0] + rng.uniform(-0.4, 0.4) * axes[0], centre[1] + rng.uniform(-0.4, 0.4) * axes[1])
        size = scale * rng.uniform(0.08, 0.25)
        _paint(image, _ellipse(image.shape, place, (size, size * flat), rng.uniform(0, 180)), _colour(rng))
    label[outer > 127] = PLATE


def _cup(rng: np.random.Generator, image: Floats, label: Pixels, centre: tuple[float, float], scale: float) -> None:
    """A cup from the side or from above: its body, an opening with a drink, and a handle."""
    colour, flat = _colour(rng), rng.uniform(0.25, 0.75)
    radius, tall, taper = scale * rng.uniform(0.4, 0.62), scale * rng.uniform(0.5, 1.1), rng.uniform(0.55, 0.95)
    x, y = centre
    body = _ellipse(image.shape, (x, y), (radius, radius * flat), 0)
    body |= _ellipse(image.shape, (x, y + tall), (radius * taper, radius * taper * flat), 0)
    sides = [(x - radius, y), (x + radius, y), (x + radius * taper, y + tall), (x - radius * taper, y + tall)]
    cv2.fillConvexPoly(body, np.int32(np.round(sides)), 255, cv2.LINE_AA)
    handle = np.zeros_like(body)
    side = rng.choice([-1, 1])
    place = (float(x + side * radius * 0.95), float(y + tall * 0.5))
    box = (place, (float(radius * 1.0), float(tall * 0.7)), 0.0)
    cv2.ellipse(handle, box, 255, max(2, round(scale * 0.09)), cv2.LINE_AA)
    whole = np.maximum(body, handle)
    _shadow(rng, image, whole, scale * 0.35)
    _paint(image, handle, colour * 0.85)
    across = (np.arange(image.shape[1], dtype=np.float32) - x) / radius  # round: darker towards one edge
    light = np.clip(1 - 0.35 * (across * rng.choice([-1, 1]) + 0.4), 0.5, 1.25)
    shaded = np.broadcast_to(light[None, :, None] * colour, image.shape)
    _paint(image, body, np.asarray(shaded, np.float32))
    if rng.random() < 0.4:  # a stripe
        band = np.zeros_like(body)
        at = int(y + tall * rng.uniform(0.4, 0.8))
        band[at : at + max(2, int(scale * 0.1))] = 255
        _paint(image, band & body, _colour(rng))
    _paint(image, _ellipse(image.shape, (x, y), (radius * 0.97, radius * flat * 0.95), 0), colour * 1.1)
    _paint(image, _ellipse(image.shape, (x, y + 1), (radius * 0.85, radius * flat * 0.8), 0), _colour(rng) * 0.6)
    label[whole > 127] = CUP


def _photograph(rng: np.random.Generator, image: Floats) -> Pixels:
    """Light from one side, white balance, blur, and noise of a sensor."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    slope = (x / width - 0.5) * math.cos(angle) + (y / height - 0.5) * math.sin(angle)
    lit = image * (rng.uniform(0.65, 1.1) + rng.uniform(0.1, 0.5) * slope)[..., None] * rng.uniform(0.88, 1.12, 3)
    blurred = cv2.GaussianBlur(lit.astype(np.float32), (0, 0), rng.uniform(0.4, 1.2))
    noisy = blurred + rng.normal(0, rng.uniform(2, 8), image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_dataset(folder: Path, train: int = 40, val: int = 20) -> None:
    """Write the images, the labels as index PNGs, and `dataset.toml`."""
    for split, seeds in (("train", range(train)), ("val", range(1000, 1000 + val))):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            image, label = scene(seed)
            cv2.imwrite(str(folder / "images" / split / f"{seed:04d}.png"), image)
            cv2.imwrite(str(folder / "labels" / split / f"{seed:04d}.png"), label)
    names = ", ".join(f'"{name}"' for name in CLASSES)
    palette = ", ".join(str(list(colour)) for colour in PALETTE)
    (folder / "dataset.toml").write_text(
        f'classes = [{names}]\npalette = [{palette}]\nimages = "images"\nlabels = "labels"\n', encoding="utf-8"
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--train", type=click.IntRange(min=1), default=40, show_default=True, help="Images to train on.")
@click.option("--val", type=click.IntRange(min=0), default=20, show_default=True, help="Images to validate on.")
def main(folder: Path, train: int, val: int) -> None:
    """Write the data set into FOLDER."""
    write_dataset(folder, train, val)


if __name__ == "__main__":
    main()

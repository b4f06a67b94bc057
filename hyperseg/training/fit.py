"""Entries of a recipe that are "auto": chosen for the network and the data, the same at every start of a run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from hyperseg.data import Crop, Dataset
from hyperseg.training.recipe import Recipe

_LOOKED_AT = 32
"""Images whose sizes are read; a dataset has one size, or sizes that these show."""

_MOST_PIXELS = 576 * 768
"""Pixels of the chosen resolution at most, those of the shipped model: cost and memory grow with them."""

_CROPS = ((0.5, 0.5), (0.75, 0.3), (1.0, 0.2))
"""Sides of the crops as shares of the resolution's, and the share of the iterations. Whole images are rare because of
their cost, but the context head averages over the image, so that the network must have seen some."""

_SMALLEST_SIDE = 192
"""Shorter sides are not cropped: the whole image is cheap enough."""

_ITERATIONS_OF_40_IMAGES = 300
_FEWEST = 60


@dataclass(frozen=True)
class Typical:
    """What the automatic entries depend on: median (height, width) of the images, and their number."""

    size: tuple[int, int]
    count: int


def typical(dataset: Dataset) -> Typical:
    """Look at images spread over the dataset."""
    count = len(dataset)
    looked = sorted({index * count // min(count, _LOOKED_AT) for index in range(min(count, _LOOKED_AT))})
    shapes = [dataset[index].label.shape for index in looked]
    height, width = (int(statistics.median(shape[axis] for shape in shapes)) for axis in (0, 1))
    return Typical((height, width), count)


def fit(recipe: Recipe, data: Typical, unit: int) -> Recipe:
    """Choose every automatic entry; `unit` is what heights and widths must be multiples of.

    `optimiser.iterations` follow from the number of images; a run with a time budget replaces them by
    `with_iterations`, which adapts what depends on them.
    """
    resolution = recipe.resolution
    if "resolution" in recipe.automatic:
        resolution = fitting_resolution(data.size, unit)
        recipe = _with(recipe, {"resolution": resolution})
    if "crops" in recipe.automatic:
        recipe = _with(recipe, {"crops": fitting_crops(resolution or data.size, unit)})
    iterations = recipe.optimiser.iterations
    if "optimiser.iterations" in recipe.automatic:
        iterations = usual_iterations(data.count, recipe.batch)
    return with_iterations(recipe, iterations)


def fitting_resolution(size: tuple[int, int], unit: int) -> tuple[int, int]:
    """Resolution nearest to the images' size, of at most the shipped model's pixels, in multiples of the unit."""
    scale = min(1.0, math.sqrt(_MOST_PIXELS / (size[0] * size[1])))
    height, width = (max(unit, round(side * scale / unit) * unit) for side in size)
    while height * width > _MOST_PIXELS and max(height, width) > unit:
        height, width = (height, width - unit) if width >= height else (height - unit, width)
    return height, width


def fitting_crops(resolution: tuple[int, ...], unit: int) -> tuple[Crop, ...]:
    """Crops of half the resolution, three quarters, and all of it, without those that are equal."""
    shares: dict[tuple[int, int], float] = {}
    for part, share in _CROPS:
        height, width = (
            side if side <= _SMALLEST_SIDE else max(unit, round(side * part / unit) * unit) for side in resolution
        )
        shares[height, width] = shares.get((height, width), 0.0) + share
    return tuple(Crop(height, width, share) for (height, width), share in shares.items())


def usual_iterations(count: int, batch: int) -> int:
    """300 iterations of batch 4 for 40 images, and more with the root of their number: 3,354 for 5,000."""
    return max(_FEWEST, round(_ITERATIONS_OF_40_IMAGES * math.sqrt(count / 40) * 4 / batch))


def with_iterations(recipe: Recipe, iterations: int) -> Recipe:
    """The recipe with this many iterations, and with the automatic entries that depend on them; none is left."""
    chosen: Mapping[str, Any] = {
        "optimiser.iterations": iterations,
        "optimiser.warmup": iterations // 20,
        "average": min(0.998, max(0.8, 1 - 20 / iterations)),
        "validate_every": max(1, math.ceil(iterations / 5)),
        "checkpoint_every": min(200, max(1, math.ceil(iterations / 10))),
    }
    return _with(recipe, {key: value for key, value in chosen.items() if key in recipe.automatic})


def _with(recipe: Recipe, chosen: Mapping[str, Any]) -> Recipe:
    """The recipe with entries set, which are no longer automatic."""
    own = {key: value for key, value in chosen.items() if key in {entry.name for entry in fields(recipe)}}
    inner = {key.removeprefix("optimiser."): value for key, value in chosen.items() if key not in own}
    automatic = tuple(key for key in recipe.automatic if key not in chosen)
    return replace(recipe, **own, optimiser=replace(recipe.optimiser, **inner), automatic=automatic)

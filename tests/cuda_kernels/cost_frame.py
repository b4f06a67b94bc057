"""What the launches of a frame cost: the decoder's levels, and what stands around them in an engine (weight mappers,
the end, and the casts at the edges). The encoder and the context head are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vectors import UpsampleArgmaxCase

import hyperseg

from .cost import (
    GRIDS,
    Cost,
    Execution,
    compulsory,
    execution,
    execution_of_patch,
    levels_of,
    products_on_tensor_cores,
)
from .kernels import Kernels

# Labels of a thread block of upsample_argmax; every published resolution is a multiple of them.
_TILE = (16, 64)
_COUNTED_TILES = (2, 2)


@dataclass(frozen=True)
class Part:
    """A launch of a frame.

    Attributes:
        necessary: what the operator cannot avoid.
        done: what its kernel does; where that is TensorRT's, what is necessary.
        execution: of our kernels, None for TensorRT's.
        products: of the necessary multiply-adds, those that `done` has on tensor cores.
    """

    name: str
    necessary: Cost
    done: Cost
    execution: Execution | None = None
    products: float = 0.0


def _patches(preset: str) -> int:
    return GRIDS[preset][0] * GRIDS[preset][1]


def _bytes(dtype: str) -> int:
    return int(np.dtype(dtype).itemsize)


def _pixels(preset: str) -> int:
    height, width = hyperseg.preset(preset).resolution
    return height * width


def level_costs(preset: str, dtype: str, kernels: Kernels) -> list[Part]:
    """The decoder's launches, coarse to fine."""
    patches = _patches(preset)
    parts = []
    for case in levels_of(preset, dtype):
        name = case.name.split("-level")[1].removesuffix(f"-{dtype}").replace("-", " ")
        whole = execution_of_patch(case, kernels).times(patches)
        products = products_on_tensor_cores(case) * patches if whole.cost.tensor_multiply_adds else 0
        parts.append(Part(name, compulsory(case).times(patches), whole.cost, whole, products))
    return parts


def theta_bytes(preset: str, dtype: str) -> tuple[int, ...]:
    """Of one frame, by weight mapper."""
    return tuple(mapper.rows * _patches(preset) * _bytes(dtype) for mapper in hyperseg.preset(preset).mappers)


def mapper_costs(preset: str, dtype: str) -> list[Part]:
    """The products that make theta: the channels of the signal that a mapper reads, its weights and its theta once
    each. Half products are taken to be made on tensor cores, without padding."""
    patches = _patches(preset)
    parts = []
    for index, mapper in enumerate(hyperseg.preset(preset).mappers):
        weights = mapper.rows * (mapper.channels // mapper.groups)
        read = (mapper.channels * patches + weights) * _bytes(dtype)
        necessary = Cost(read + theta_bytes(preset, dtype)[index], weights * patches)
        if dtype == "float16":
            done = Cost(necessary.bytes, 0, necessary.multiply_adds)
            parts.append(Part(f"mapper {index}", necessary, done, products=necessary.multiply_adds))
        else:
            parts.append(Part(f"mapper {index}", necessary, necessary))
    return parts


def cast_costs(preset: str, dtype: str) -> list[Part]:
    """One kernel each, as TensorRT for RTX builds them: uint8 pixels to normalised planes, int32 labels to uint8."""
    pixels = _pixels(preset)
    image, labels = Cost(pixels * 3 * (1 + _bytes(dtype)), pixels * 3), Cost(pixels * (4 + 1), 0)
    return [Part("image", image, image), Part("labels", labels, labels)]


def end_cost(preset: str, dtype: str, kernels: Kernels) -> Part:
    """Upsampling and arg max: the logits and the int32 labels once each, and three interpolations a value."""
    config = hyperseg.preset(preset)
    scale, pixels = config.output_stride, _pixels(preset)
    elements = config.num_classes * pixels // scale**2
    interpolations = 3 * config.num_classes * pixels if scale > 1 else 0
    height, width = (extent * count // scale for extent, count in zip(_TILE, _COUNTED_TILES, strict=True))
    case = UpsampleArgmaxCase(f"end-{preset}", config.num_classes, height, width, scale, dtype=dtype)
    tile = execution(case, kernels, _COUNTED_TILES[0] * _COUNTED_TILES[1])
    whole = tile.times(pixels // (_TILE[0] * _TILE[1]))
    return Part("upsample, arg max", Cost(elements * _bytes(dtype) + pixels * 4, interpolations), whole.cost, whole)


def frame_costs(preset: str, dtype: str, kernels: Kernels) -> list[Part]:
    """All launches of a frame but the encoder's and the context head's, in their order."""
    image, labels = cast_costs(preset, dtype)
    levels = level_costs(preset, dtype, kernels)
    return [image, *mapper_costs(preset, dtype), *levels, end_cost(preset, dtype, kernels), labels]

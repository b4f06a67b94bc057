"""Bytes and multiply-adds of the decoder's operators and of a whole frame: compulsory ones, and those that the kernels
execute, counted while they run on the CPU.

A frame consists of the decoder's levels and the operators around them in an engine: weight mappers, the end, and the
casts at input and output. The encoder and the context head are not included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from cuda_on_cpu.kernels import DEFAULT_PLACEMENT, Counters, Kernels
from vectors import CASES, Case, DPWConvCase, DPWInvertedResidualCase, Placement, UpsampleArgmaxCase

import hyperseg

from .resources import readable

# Every patch costs the same, so the counts of a few patches are scaled to the published grids.
GRIDS = {
    "camvid-s": (18, 24),
    "camvid-l": (24, 32),
    "cityscapes-m": (16, 32),
    "cityscapes-s": (24, 48),
    "voc-l": (16, 16),
}
_COUNTED_GRID = (2, 3)
# Labels of a thread block of upsample_argmax; every published resolution is a multiple of them.
_TILE = (16, 64)
_COUNTED_TILES = (2, 2)


@dataclass(frozen=True)
class Cost:
    """Bytes and multiply-adds; of one patch, unless stated otherwise."""

    bytes: float
    multiply_adds: float
    tensor_multiply_adds: float = 0.0

    def times(self, factor: float) -> Cost:
        return Cost(self.bytes * factor, self.multiply_adds * factor, self.tensor_multiply_adds * factor)


@dataclass(frozen=True)
class Execution:
    """Counts and configuration of a launch: `cost` and `blocks` of all its blocks, the rest of one block.
    `kernel` is its name in resources.csv."""

    cost: Cost
    blocks: int
    kernel: str
    threads: int
    shared_bytes: int
    load_phases: float
    barriers: float

    def times(self, factor: int) -> Execution:
        """The same launch over a multiple of the patches."""
        return replace(self, cost=self.cost.times(factor), blocks=self.blocks * factor)


def preset_cases(dtype: str, *, first_level: int = 0) -> list[DPWConvCase | DPWInvertedResidualCase]:
    """The test vectors with the shapes of the published presets' levels."""
    chosen = []
    for case in CASES:
        preset = preset_of(case)
        if preset and case.dtype == dtype and level_of(case) >= first_level:
            assert isinstance(case, (DPWConvCase, DPWInvertedResidualCase))
            chosen.append(case)
    return chosen


def levels_of(preset: str, dtype: str) -> list[DPWConvCase | DPWInvertedResidualCase]:
    """The preset's levels, coarse to fine, as test vectors: on a grid of a few patches."""
    return sorted((case for case in preset_cases(dtype) if preset_of(case) == preset), key=level_of)


def preset_of(case: Case) -> str | None:
    return next((name for name in GRIDS if f"-{name}-level" in case.name), None)


def level_of(case: Case) -> int:
    name: str = case.name
    return int(name.split("-level")[1][0])


def without_glue(case: DPWConvCase | DPWInvertedResidualCase) -> DPWConvCase | DPWInvertedResidualCase:
    """The same operator with its whole input as X."""
    return replace(case, x_channels=case.in_channels, coordinates=False, previous_channels=0)


def compulsory(case: DPWConvCase | DPWInvertedResidualCase) -> Cost:
    """X, `previous`, theta and Y once each; the products, the halo that a patch's own weights make included, and the
    three interpolations of every upsampled value that the products read."""
    height, width = case.patch
    pixels = height * width
    if isinstance(case, DPWConvCase):
        per_output = case.in_channels // case.group * case.kernel**2
        weights = case.out_channels * per_output
        upsampled = pixels
        products = pixels * case.out_channels * per_output
    else:
        hidden = case.hidden_channels
        weights = hidden * (case.in_channels + 9 + case.out_channels)
        upsampled = (height + 2) * (width + 2)
        products = upsampled * hidden * case.in_channels + pixels * hidden * (9 + case.out_channels)
    elements = weights + pixels * (case.x_channels + case.out_channels) + pixels // 4 * case.previous_channels
    return Cost(elements * np.dtype(case.dtype).itemsize, products + 3 * upsampled * case.previous_channels)


def products_on_tensor_cores(case: DPWConvCase | DPWInvertedResidualCase) -> int:
    """Those of the necessary products that a half kernel makes on tensor cores, if it uses them: the 1x1 ones."""
    height, width = case.patch
    if isinstance(case, DPWConvCase):
        return height * width * case.out_channels * case.in_channels
    window = (height + 2) * (width + 2)
    return case.hidden_channels * (window * case.in_channels + height * width * case.out_channels)


def execution(case: Case, kernels: Kernels, parts: int, placement: Placement = DEFAULT_PLACEMENT) -> Execution:
    """One of `parts` equal parts of the kernel's work for the case."""
    kernels.take_counters()
    kernels.run(case, placement)
    counters: Counters = kernels.take_counters()
    launch = kernels.last_launch()
    assert launch.blocks % parts == 0
    cost = Cost(counters.loaded_bytes + counters.stored_bytes, counters.multiply_adds, counters.tensor_multiply_adds)
    return Execution(
        cost=cost.times(1 / parts),
        blocks=launch.blocks // parts,
        kernel=readable(launch.symbol),
        threads=launch.threads,
        shared_bytes=launch.shared_bytes,
        load_phases=counters.load_phases / launch.blocks,
        barriers=counters.barriers / launch.blocks,
    )


def execution_of_patch(
    case: DPWConvCase | DPWInvertedResidualCase, kernels: Kernels, placement: Placement = DEFAULT_PLACEMENT
) -> Execution:
    """The execution of an average patch: patches at the map's edges need less."""
    counted = replace(case, grid=_COUNTED_GRID)
    return execution(counted, kernels, case.batch * _COUNTED_GRID[0] * _COUNTED_GRID[1], placement)


def executed(
    case: DPWConvCase | DPWInvertedResidualCase, kernels: Kernels, placement: Placement = DEFAULT_PLACEMENT
) -> Cost:
    """The kernel's work for one patch."""
    return execution_of_patch(case, kernels, placement).cost


@dataclass(frozen=True)
class Part:
    """A launch of a frame.

    Attributes:
        necessary: what the operator cannot avoid.
        done: the kernel's work; for TensorRT's kernels, the necessary work.
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
    """Bytes of theta of one frame, by weight mapper."""
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
    """All launches of a frame except the encoder's and the context head's, in order."""
    image, labels = cast_costs(preset, dtype)
    levels = level_costs(preset, dtype, kernels)
    return [image, *mapper_costs(preset, dtype), *levels, end_cost(preset, dtype, kernels), labels]

"""What the decoder's operators have to do, and what the kernels do, counted while they run on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from vectors import CASES, Case, DPWConvCase, DPWInvertedResidualCase, Placement

from .kernels import AS_THE_CONTRACT_HAS_IT, Counters, Kernels
from .resources import readable

# Every patch costs the same, so the counts of a few stand for all: published grids only multiply them.
GRIDS = {
    "camvid-s": (18, 24),
    "camvid-l": (24, 32),
    "cityscapes-m": (16, 32),
    "cityscapes-s": (24, 48),
    "voc-l": (16, 16),
}
_COUNTED_GRID = (2, 3)


@dataclass(frozen=True)
class Cost:
    """In bytes and multiply-adds; of one patch, where nothing else is said."""

    bytes: float
    multiply_adds: float
    tensor_multiply_adds: float = 0.0

    def times(self, factor: float) -> Cost:
        return Cost(self.bytes * factor, self.multiply_adds * factor, self.tensor_multiply_adds * factor)


@dataclass(frozen=True)
class Execution:
    """What a launch did, and how it was started: `cost` and `blocks` of all its blocks, the rest of one block.
    `kernel` is its name in resources.csv."""

    cost: Cost
    blocks: int
    kernel: str
    threads: int
    shared_bytes: int
    load_phases: float
    barriers: float

    def times(self, factor: int) -> Execution:
        """A launch over so many times as many patches."""
        return replace(self, cost=self.cost.times(factor), blocks=self.blocks * factor)


def preset_cases(dtype: str, *, first_level: int = 0) -> list[DPWConvCase | DPWInvertedResidualCase]:
    """The test vectors that have the shapes of the published presets' levels."""
    chosen = []
    for case in CASES:
        preset = preset_of(case)
        if preset and case.dtype == dtype and level_of(case) >= first_level:
            assert isinstance(case, (DPWConvCase, DPWInvertedResidualCase))
            chosen.append(case)
    return chosen


def levels_of(preset: str, dtype: str) -> list[DPWConvCase | DPWInvertedResidualCase]:
    """The preset's levels, coarse to fine, as the test vectors have them: on a grid of a few patches."""
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


def execution(case: Case, kernels: Kernels, parts: int, placement: Placement = AS_THE_CONTRACT_HAS_IT) -> Execution:
    """One of `parts` equal parts of what the kernel does for the case."""
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
    case: DPWConvCase | DPWInvertedResidualCase, kernels: Kernels, placement: Placement = AS_THE_CONTRACT_HAS_IT
) -> Execution:
    """Of an average patch: those at the map's edges do less."""
    counted = replace(case, grid=_COUNTED_GRID)
    return execution(counted, kernels, case.batch * _COUNTED_GRID[0] * _COUNTED_GRID[1], placement)


def executed(
    case: DPWConvCase | DPWInvertedResidualCase, kernels: Kernels, placement: Placement = AS_THE_CONTRACT_HAS_IT
) -> Cost:
    """What the kernel does for one patch."""
    return execution_of_patch(case, kernels, placement).cost

"""What the decoder's operators have to do, and what the kernels do, counted while they run on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from vectors import CASES, Case, DPWConvCase, DPWInvertedResidualCase, Placement

from .kernels import AS_THE_CONTRACT_HAS_IT, Counters, Kernels

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
    """Of one patch, in bytes and multiply-adds."""

    bytes: float
    multiply_adds: float
    tensor_multiply_adds: float = 0.0


def preset_cases(dtype: str, *, first_level: int = 0) -> list[DPWConvCase | DPWInvertedResidualCase]:
    """The test vectors that have the shapes of the published presets' levels."""
    chosen = []
    for case in CASES:
        preset = preset_of(case)
        if preset and case.dtype == dtype and level_of(case) >= first_level:
            assert isinstance(case, (DPWConvCase, DPWInvertedResidualCase))
            chosen.append(case)
    return chosen


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


def executed(
    case: DPWConvCase | DPWInvertedResidualCase, kernels: Kernels, placement: Placement = AS_THE_CONTRACT_HAS_IT
) -> Cost:
    """What the kernel does for one patch."""
    counted = replace(case, grid=_COUNTED_GRID)
    kernels.take_counters()
    kernels.run(counted, placement)
    counters: Counters = kernels.take_counters()
    patches = case.batch * _COUNTED_GRID[0] * _COUNTED_GRID[1]
    return Cost(
        (counters.loaded_bytes + counters.stored_bytes) / patches,
        counters.multiply_adds / patches,
        counters.tensor_multiply_adds / patches,
    )

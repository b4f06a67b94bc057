"""Writes docs/gpu-cost.md: what the decoder costs on named GPUs, computed from counts and datasheet rates.

PYTHONPATH=tests python -m cuda_kernels.cost_sheet > docs/gpu-cost.md
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vectors import DPWConvCase, DPWInvertedResidualCase

from .build import compile_for_cpu
from .cost import GRIDS, Cost, compulsory, executed, level_of, preset_cases, preset_of, products_on_tensor_cores
from .kernels import Kernels


@dataclass(frozen=True)
class Gpu:
    """Datasheet rates, without tensor cores' sparsity. A multiply-add counts as two operations."""

    name: str
    gigabytes_per_second: float
    float_tflops: float
    tensor_tflops: float | None  # half operands, float sums

    def microseconds(self, cost: Cost) -> tuple[float, float]:
        """What memory and what arithmetic need; the larger one is the floor."""
        memory = cost.bytes / (self.gigabytes_per_second * 1e3)
        arithmetic = 2 * cost.multiply_adds / (self.float_tflops * 1e6)
        if self.tensor_tflops and cost.tensor_multiply_adds:
            arithmetic = max(arithmetic, 2 * cost.tensor_multiply_adds / (self.tensor_tflops * 1e6))
        return memory, arithmetic


GPUS = (
    Gpu("GTX 1080 Ti", 484, 11.3, None),
    Gpu("RTX 3060", 360, 12.7, 25.5),
    Gpu("RTX 4090", 1008, 82.6, 165.2),
    Gpu("Jetson AGX Orin 64GB", 204.8, 5.3, 42.5),
    Gpu("H100 SXM", 3350, 66.9, 989.0),
)

_INTRODUCTION = """\
# What the decoder costs on a GPU

Made by `PYTHONPATH=tests python -m cuda_kernels.cost_sheet > docs/gpu-cost.md`. Nothing here was timed: **bytes** and
**multiply-adds** were counted while the CUDA kernels ran on the CPU (`trt_plugins/tests/cuda_on_cpu`); times follow
from datasheet rates and are floors: no launch cost, no latency, perfect overlap. Batch 1, published resolutions, the
level's glue (coordinates, upsampling, concatenation) fused into the operator.

- *compulsory*: X, `previous`, theta and Y once each, and the products that the operator is made of, the own-weights
  halo of the meta block and the interpolation of `previous` included.
- *executed*: what the kernels load and store, and their multiply-adds on ordinary cores. *Tensor*: the multiply-adds on
  tensor cores, padding to 16x16x16 tiles included, and in brackets their ratio to the products they make. Half kernels
  pass the filtered values to tensor cores as two halves each, which alone costs a factor of 2 in pw2.
- Loads are counted as instructions ask for them; an L2 cache absorbs part of the halo's.
"""

_RATES = """\
## Datasheet rates

| GPU | memory, GB/s | float32, TFLOPS | half tensor, float32 sums, TFLOPS |
|---|---|---|---|
"""


@dataclass(frozen=True)
class _Row:
    case: DPWConvCase | DPWInvertedResidualCase
    necessary: Cost
    done: Cost

    @property
    def ratio_on_tensor_cores(self) -> float:
        return self.done.tensor_multiply_adds / self._grid / products_on_tensor_cores(self.case)

    def microseconds(self, gpu: Gpu) -> tuple[float, float]:
        """On a GPU without tensor cores, the products of a half kernel are taken to be made on ordinary ones."""
        if self.done.tensor_multiply_adds and not gpu.tensor_tflops:
            return gpu.microseconds(Cost(self.done.bytes, self.necessary.multiply_adds))
        return gpu.microseconds(self.done)

    @property
    def _grid(self) -> int:
        preset = preset_of(self.case)
        assert preset
        return GRIDS[preset][0] * GRIDS[preset][1]

    @property
    def name(self) -> str:
        return self.case.name.split("-level")[1].removesuffix(f"-{self.case.dtype}").replace("-", " ")


def _scaled(cost: Cost, patches: int) -> Cost:
    return Cost(cost.bytes * patches, cost.multiply_adds * patches, cost.tensor_multiply_adds * patches)


def _rows(preset: str, dtype: str, kernels: Kernels) -> list[_Row]:
    patches = GRIDS[preset][0] * GRIDS[preset][1]
    cases = sorted((case for case in preset_cases(dtype) if preset_of(case) == preset), key=level_of)
    return [_Row(case, _scaled(compulsory(case), patches), _scaled(executed(case, kernels), patches)) for case in cases]


def _line(row: _Row) -> str:
    necessary, done = row.necessary, row.done
    tensor = "-"
    if done.tensor_multiply_adds:
        tensor = f"{done.tensor_multiply_adds / 1e6:.0f} ({row.ratio_on_tensor_cores:.2f})"
    times = []
    for gpu in GPUS:
        memory, arithmetic = row.microseconds(gpu)
        times.append(f"{max(memory, arithmetic):.0f} {'m' if memory >= arithmetic else 'a'}")
    columns = [
        row.name,
        f"{necessary.bytes / 1e6:.2f}",
        f"{done.bytes / 1e6:.2f} ({done.bytes / necessary.bytes:.2f})",
        f"{necessary.multiply_adds / 1e6:.0f}",
        f"{done.multiply_adds / 1e6:.0f}",
        tensor,
        *times,
    ]
    return f"| {' | '.join(columns)} |"


def _sheet(kernels: Kernels) -> Iterator[str]:
    yield _INTRODUCTION
    yield _RATES + "\n".join(
        f"| {gpu.name} | {gpu.gigabytes_per_second:g} | {gpu.float_tflops:g} | {gpu.tensor_tflops or '-'} |"
        for gpu in GPUS
    )
    yield "\nCUDA 13 no longer compiles for the GTX 1080 Ti (sm_61); it stands here because the paper measured on it."
    for dtype in ("float32", "float16"):
        yield f"\n## {dtype}\n\nTimes in microseconds; *m*: memory is the floor, *a*: arithmetic is."
        for preset, grid in GRIDS.items():
            rows = _rows(preset, dtype, kernels)
            heads = ["level", "MB compulsory", "MB executed", "M multiply-adds compulsory", "executed", "tensor"]
            yield f"\n### {preset}, grid {grid[0]}x{grid[1]}\n"
            yield f"| {' | '.join([*heads, *(gpu.name for gpu in GPUS)])} |"
            yield "|---" * (len(heads) + len(GPUS)) + "|"
            yield from map(_line, rows)
            yield _total(rows)


def _total(rows: list[_Row]) -> str:
    times = [f"{sum(max(row.microseconds(gpu)) for row in rows):.0f}" for gpu in GPUS]
    megabytes = sum(row.done.bytes for row in rows) / 1e6
    compulsory_megabytes = sum(row.necessary.bytes for row in rows) / 1e6
    columns = [
        "all",
        f"{compulsory_megabytes:.2f}",
        f"{megabytes:.2f} ({megabytes / compulsory_megabytes:.2f})",
        f"{sum(row.necessary.multiply_adds for row in rows) / 1e6:.0f}",
        f"{sum(row.done.multiply_adds for row in rows) / 1e6:.0f}",
        f"{sum(row.done.tensor_multiply_adds for row in rows) / 1e6:.0f}",
        *times,
    ]
    return f"| {' | '.join(columns)} |"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        library = compile_for_cpu(Path(folder) / "libkernels.so", "library.cpp", ["-O2", "-fPIC", "-shared"])
        print("\n".join(_sheet(Kernels(library))))


if __name__ == "__main__":
    main()

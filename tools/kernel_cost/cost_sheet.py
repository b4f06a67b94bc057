"""Prints docs/gpu-cost.md: the decoder's cost on named GPUs, computed from counts, datasheet rates and latencies."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cuda_on_cpu.build import compile_for_cpu
from cuda_on_cpu.kernels import Kernels

from .cost import GRIDS, Cost, Part, frame_costs, theta_bytes
from .gpus import BARRIER_CYCLES, GPUS, LAUNCH_SPACING_MICROSECONDS, Gpu, waiting

_COMMAND = "PYTHONPATH=tools python -m kernel_cost.cost_sheet > docs/gpu-cost.md"

_COMPILED = [gpu for gpu in GPUS if gpu.multiprocessors]


def _theta_megabytes(dtype: str) -> str:
    sizes = [sum(theta_bytes(preset, dtype)) / 1e6 for preset in GRIDS]
    return f"{min(sizes):.0f} to {max(sizes):.0f} MB"


_HALF, _FLOAT = _theta_megabytes("float16"), _theta_megabytes("float32")
_SPACING = f"{LAUNCH_SPACING_MICROSECONDS:g} us"

_INTRODUCTION = f"""\
# What the decoder costs on a GPU

Made by `{_COMMAND}`. Nothing here was timed: **bytes**,
**multiply-adds**, **load phases** and **barriers** were counted while the CUDA kernels ran on the CPU
(`trt_plugins/tests/cuda_on_cpu`); times follow from datasheet rates and published latencies. Batch 1, published
resolutions, the level's glue (coordinates, upsampling, concatenation) fused into the operator. The encoder and the
context head are left out.

## Bytes and multiply-adds

- *compulsory*: X, `previous`, theta and Y once each, and the products that the operator is made of, the own-weights
  halo of the meta block and the interpolation of `previous` included.
- *executed*: what the kernels load and store, and their multiply-adds on ordinary cores. *Tensor*: the multiply-adds on
  tensor cores, padding to 16x16x16 tiles included, and in brackets their ratio to the products they make. Half kernels
  pass the filtered values to tensor cores as two halves each, which alone costs a factor of 2 in pw2.
- Loads are counted as instructions ask for them; an L2 cache absorbs part of the halo's.
- *weight mappers*: the products that make theta, all in one row: the signal's channels and the weights read, theta
  written. *upsample, arg max*: logits in, int32 labels out; its interpolations are counted even at stride 1.
- *image*: uint8 pixels to normalised planes of 3 channels; *labels*: int32 to uint8. One kernel each, as TensorRT for
  RTX builds them. These two and the mappers are TensorRT's kernels: computed from sizes, not counted, in half with the
  mappers' products on tensor cores. TensorRT for RTX pads the half planes to 4 channels, which is left out here.
- Times are floors of memory and arithmetic: no launch cost, no latency, perfect overlap, everything from and to DRAM.
- What one launch writes and a later one reads may still lie in the L2 cache, and then never comes from DRAM. Theta is
  {_HALF} in half and {_FLOAT} in float, and an H100's L2 holds 50 MB: in half, weights and maps of a frame stay
  there from launch to launch, and the memory floor may even be beaten. The same holds for an RTX 4090 (72 MB), not for
  an RTX 3060 (3 MB) or an Orin (4 MB).

## Waves and latency

The second table of each preset says how much of a GPU a launch fills, and how long it waits if bandwidth and arithmetic
were free.

- *occupancy*: threads that a multiprocessor holds at a time, of those that it could; by NVIDIA's rules
  (`cuda_occupancy.h`) from the registers in [resources.csv](../tools/kernel_cost/resources.csv) and the launch's
  threads and shared memory. As much of the L1 cache is taken to be shared memory as can be. *Waves*: blocks over the
  blocks that the GPU holds at a time. resources.csv has no sm_87: the Orin's registers are those of sm_86.
- *latency*: microseconds, waves rounded up x (load phases x L2 latency + barriers x {BARRIER_CYCLES} cycles). A load
  phase is a stretch between two barriers in which the block loads from global memory. The floor leaves out arithmetic
  and shared memory, takes a phase's loads to be under way together, though most phases loop over channels, and every
  phase to hit L2, not DRAM. It is no strict bound: L1 hits are faster, and a kernel that requests its next values
  before a barrier hides part of a phase behind it. Blocks that share a multiprocessor wait at the same time; blocks
  of the next wave start as soon as one ends, so a wave that is hardly begun may cost less than a whole one.
- L2 latencies: H100 263 and RTX 4090 273 cycles (Luo et al. 2024, arXiv:2402.13499; the H100 was the PCIe card), RTX
  3060 and Orin 200 cycles (Abdelkhalik et al. 2022, arXiv:2208.11174, for the A100; assumed for sm_86 and sm_87). The
  {BARRIER_CYCLES} cycles of a barrier are assumed: about one read of shared memory (29 cycles, Luo et al.). All
  are quoted, none was measured here, and other measurements differ by up to a tenth. Clocks are boost clocks.
- *launches*: those of the frame's rows, {_SPACING} apart in a CUDA graph. That is assumed; `scripts/gpu_check.sh`
  measures it. The frame's *floor* is, launch by launch, the greatest of memory, arithmetic and latency, and the
  spacing of all launches. TensorRT's kernels have no latency here.
"""


def _table_row(columns: list[str]) -> str:
    return f"| {' | '.join(columns)} |"


def _head(columns: list[str]) -> str:
    return _table_row(columns) + "\n" + "|---" * len(columns) + "|"


def _rates(gpu: Gpu) -> str:
    found = gpu.multiprocessors
    own = [str(found.count), f"{found.gigahertz:g}", str(found.l2_cycles)] if found else ["-"] * 3
    rates = [f"{gpu.gigabytes_per_second:g}", f"{gpu.float_tflops:g}", str(gpu.tensor_tflops or "-")]
    return _table_row([gpu.name, *rates, *own])


def _microseconds(part: Part, gpu: Gpu) -> tuple[float, float]:
    """On a GPU without tensor cores, the products of a half kernel are taken to be made on ordinary ones."""
    if part.done.tensor_multiply_adds and not gpu.tensor_tflops:
        return gpu.microseconds(Cost(part.done.bytes, part.necessary.multiply_adds))
    return gpu.microseconds(part.done)


def _latency(part: Part, gpu: Gpu) -> float:
    assert gpu.multiprocessors
    return waiting(gpu.multiprocessors, part.execution).microseconds if part.execution else 0.0


def _sum(costs: list[Cost]) -> Cost:
    return Cost(
        sum(cost.bytes for cost in costs),
        sum(cost.multiply_adds for cost in costs),
        sum(cost.tensor_multiply_adds for cost in costs),
    )


def _together(name: str, parts: list[Part]) -> Part:
    return Part(
        name,
        _sum([part.necessary for part in parts]),
        _sum([part.done for part in parts]),
        products=sum(part.products for part in parts),
    )


def _counts(part: Part, counted: bool) -> list[str]:
    necessary, done = part.necessary, part.done
    tensor = f"{done.tensor_multiply_adds / 1e6:.0f}" if done.tensor_multiply_adds else "-"
    if part.execution and part.products:
        tensor += f" ({done.tensor_multiply_adds / part.products:.2f})"
    return [
        part.name,
        f"{necessary.bytes / 1e6:.2f}",
        f"{done.bytes / 1e6:.2f} ({done.bytes / necessary.bytes:.2f})" if counted else "-",
        f"{necessary.multiply_adds / 1e6:.0f}",
        f"{done.multiply_adds / 1e6:.0f}" if counted else "-",
        tensor if counted else "-",
    ]


def _line(part: Part) -> str:
    times = []
    for gpu in GPUS:
        memory, arithmetic = _microseconds(part, gpu)
        times.append(f"{max(memory, arithmetic):.0f} {'m' if memory >= arithmetic else 'a'}")
    return _table_row([*_counts(part, counted=part.execution is not None), *times])


def _total(name: str, parts: list[Part], counted: bool) -> str:
    times = [f"{sum(max(_microseconds(part, gpu)) for part in parts):.0f}" for gpu in GPUS]
    return _table_row([*_counts(_together(name, parts), counted), *times])


def _costs(parts: list[Part]) -> Iterator[str]:
    """The levels, then what stands around them."""
    ours = [part for part in parts if part.execution]
    levels, end = ours[:-1], ours[-1]
    mappers = [part for part in parts if part.name.startswith("mapper")]
    heads = ["level", "MB compulsory", "MB executed", "M multiply-adds compulsory", "executed", "tensor"]
    yield _head([*heads, *(gpu.name for gpu in GPUS)])
    yield from map(_line, levels)
    yield _total("all levels", levels, counted=True)
    yield _total("weight mappers", mappers, counted=False)
    yield _line(end)
    yield from (_line(part) for part in parts if not part.execution and part not in mappers)
    yield _total("all", parts, counted=False)


def _waits(parts: list[Part]) -> Iterator[str]:
    heads = ["level", "blocks", "threads", "shared KiB", "load phases", "barriers"]
    names = [gpu.name.split(" 64GB")[0] for gpu in _COMPILED]
    yield _head(
        [*heads, *(f"{name}: occupancy, waves" for name in names), *(f"{name}: latency" for name in names)],
    )
    ours = [part for part in parts if part.execution]
    for part in ours:
        assert part.execution
        done = part.execution
        found = [waiting(gpu.multiprocessors, done) for gpu in _COMPILED if gpu.multiprocessors]
        launch = [str(done.blocks), str(done.threads), f"{done.shared_bytes / 1024:.1f}"]
        yield _table_row(
            [
                part.name,
                *launch,
                f"{done.load_phases:.1f}",
                f"{done.barriers:.0f}",
                *(f"{wait.occupancy.share:.0%}, {wait.waves:.2f}" for wait in found),
                *(f"{wait.microseconds:.1f}" for wait in found),
            ]
        )
    gap = ["-"] * (len(heads) - 1 + len(_COMPILED))
    yield _table_row(["all", *gap, *(f"{sum(_latency(part, gpu) for part in ours):.1f}" for gpu in _COMPILED)])


def _frame(parts: list[Part]) -> str:
    """One sentence, for it is one number a GPU."""
    spacing = len(parts) * LAUNCH_SPACING_MICROSECONDS
    floors = []
    for gpu in _COMPILED:
        floor = sum(max(*_microseconds(part, gpu), _latency(part, gpu)) for part in parts) + spacing
        floors.append(f"{gpu.name} {floor:.0f} us")
    return f"\nFloor of these {len(parts)} launches, {spacing:g} us of spacing included: {', '.join(floors)}."


def _sheet(kernels: Kernels) -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Datasheet rates\n"
    rates = ["memory, GB/s", "float32, TFLOPS", "half tensor, float32 sums, TFLOPS"]
    yield _head(["GPU", *rates, "multiprocessors", "boost clock, GHz", "L2 latency, cycles"])
    yield from map(_rates, GPUS)
    yield "\nCUDA 13 no longer compiles for the GTX 1080 Ti (sm_61); it stands here because the paper measured on it."
    for dtype in ("float32", "float16"):
        yield f"\n## {dtype}\n\nTimes in microseconds; *m*: memory is the floor, *a*: arithmetic is."
        for preset, grid in GRIDS.items():
            parts = frame_costs(preset, dtype, kernels)
            yield f"\n### {preset}, grid {grid[0]}x{grid[1]}\n"
            yield from _costs(parts)
            yield ""
            yield from _waits(parts)
            yield _frame(parts)


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m kernel_cost.cost_sheet",
        description=__doc__,
        epilog=f"example:\n  {_COMMAND}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = compile_for_cpu(Path(folder) / "libkernels.so", "library.cpp", ["-O2", "-fPIC", "-shared"])
        print("\n".join(_sheet(Kernels(library))))


if __name__ == "__main__":
    main()

"""How many thread blocks of a kernel a GPU runs at a time, and how long their loads and barriers take at least."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from .cost import Execution
from .gpus import (
    BARRIER_CYCLES,
    PARTITIONS,
    REGISTER_UNIT,
    REGISTERS,
    SHARED_RESERVED,
    SHARED_UNIT,
    WARP,
    Multiprocessors,
)
from .resources import committed


@dataclass(frozen=True)
class Occupancy:
    """Of one multiprocessor: blocks that it holds at a time, and their share of the threads that it could hold."""

    blocks: int
    share: float


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def occupancy(gpu: Multiprocessors, registers: int, threads: int, shared_bytes: int) -> Occupancy:
    """NVIDIA's rules, as cuda_occupancy.h has them.

    Args:
        gpu: its limits.
        registers: of a thread.
        threads: of a block.
        shared_bytes: of a block, static and dynamic, without what the system reserves.
    """
    warps = -(-threads // WARP)
    by_threads = gpu.threads // WARP // warps
    of_a_warp = _round_up(registers * WARP, REGISTER_UNIT)
    by_registers = REGISTERS // PARTITIONS // of_a_warp * PARTITIONS // warps
    by_shared = gpu.shared_bytes // _round_up(shared_bytes + SHARED_RESERVED, SHARED_UNIT)
    blocks = min(gpu.blocks, by_threads, by_registers, by_shared)
    return Occupancy(blocks, blocks * warps * WARP / gpu.threads)


def waves(gpu: Multiprocessors, blocks: int, resident: Occupancy) -> float:
    """How often `blocks` fill the GPU; part of a wave takes as long as a whole one."""
    if not resident.blocks:
        raise ValueError("a block needs more than a multiprocessor has")
    return blocks / (gpu.count * resident.blocks)


def latency_floor(gpu: Multiprocessors, blocks: int, resident: Occupancy, load_phases: float, barriers: float) -> float:
    """Microseconds of one launch that only waits: in every wave the chain of a block's loads and barriers.

    Args:
        gpu: its clock and latencies.
        blocks: of the launch.
        resident: of its kernel, from `occupancy`.
        load_phases: of a block, stretches between barriers that load from global memory. The loads of one are taken
            to be under way together, and to hit L2.
        barriers: of a block.
    """
    cycles = load_phases * gpu.l2_cycles + barriers * BARRIER_CYCLES
    return ceil(waves(gpu, blocks, resident)) * cycles / (gpu.gigahertz * 1e3)


@dataclass(frozen=True)
class Waiting:
    """One launch of one of our kernels on one GPU."""

    occupancy: Occupancy
    waves: float
    microseconds: float


def waiting(gpu: Multiprocessors, done: Execution) -> Waiting:
    """With the registers that resources.csv has."""
    resources = committed()[done.kernel, gpu.compiled_for]
    shared_bytes = done.shared_bytes + resources.static_shared_bytes
    resident = occupancy(gpu, resources.registers, done.threads, shared_bytes)
    return Waiting(
        resident,
        waves(gpu, done.blocks, resident),
        latency_floor(gpu, done.blocks, resident, done.load_phases, done.barriers),
    )

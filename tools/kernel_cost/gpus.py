"""Named GPUs: datasheet rates, and a model of occupancy and latency of a kernel's thread blocks.

Limits: CUDA programming guide, "Technical Specifications per Compute Capability", and the toolkit's cuda_occupancy.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from .cost import Cost, Execution
from .resources import committed

REGISTERS = 65536  # of a multiprocessor, on every architecture from sm_50 on
REGISTER_UNIT = 256  # registers are given to warps in these portions
PARTITIONS = 4  # of a multiprocessor; a warp's registers are in one of them
SHARED_UNIT = 128  # bytes
SHARED_RESERVED = 1024  # bytes of a block's shared memory reserved by the system, from sm_80 on
WARP = 32

# Cycles until a load that hits L2 has its value, quoted from these papers; other measurements differ by up to a tenth:
# - H100, RTX 4090: Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture" (2024,
#   arXiv:2402.13499), measured on the H100 PCIe.
# - Ampere: Abdelkhalik et al., "Demystifying the Nvidia Ampere Architecture through Microbenchmarking and
#   Instruction-level Analysis" (2022, arXiv:2208.11174), measured on the A100. Assumed for sm_86 and sm_87, of which no
#   figure is known.
L2_CYCLES_HOPPER = 263
L2_CYCLES_ADA = 273
L2_CYCLES_AMPERE = 200

# Assumed on all GPUs, since no figure is known: a barrier waits at least for what was written to shared memory
# before it, and a read of shared memory takes 29 cycles (Luo et al.).
BARRIER_CYCLES = 30

# From the end of a kernel to the start of the next one in a CUDA graph. Assumed; scripts/gpu_check.sh measures it.
LAUNCH_SPACING_MICROSECONDS = 1.5


@dataclass(frozen=True)
class Multiprocessors:
    """The multiprocessors of a GPU.

    Attributes:
        architecture: compute capability, as 86.
        compiled_for: the architecture in resources.csv whose registers are taken.
        count: multiprocessors that are enabled.
        gigahertz: boost clock.
        threads, blocks: that a multiprocessor can hold.
        shared_bytes: of a multiprocessor, at most.
        l2_cycles: latency of a load that hits L2.
    """

    architecture: int
    compiled_for: int
    count: int
    gigahertz: float
    threads: int
    blocks: int
    shared_bytes: int
    l2_cycles: int


@dataclass(frozen=True)
class Gpu:
    """Datasheet rates, without tensor cores' sparsity. A multiply-add counts as two operations."""

    name: str
    gigabytes_per_second: float
    float_tflops: float
    tensor_tflops: float | None  # half operands, float sums
    multiprocessors: Multiprocessors | None = None  # None: the kernels are not compiled for it

    def microseconds(self, cost: Cost) -> tuple[float, float]:
        """Times for memory and for arithmetic; the larger one is the floor."""
        memory = cost.bytes / (self.gigabytes_per_second * 1e3)
        arithmetic = 2 * cost.multiply_adds / (self.float_tflops * 1e6)
        if self.tensor_tflops and cost.tensor_multiply_adds:
            arithmetic = max(arithmetic, 2 * cost.tensor_multiply_adds / (self.tensor_tflops * 1e6))
        return memory, arithmetic


GPUS = (
    Gpu("GTX 1080 Ti", 484, 11.3, None),
    Gpu("RTX 3060", 360, 12.7, 25.5, Multiprocessors(86, 86, 28, 1.777, 1536, 16, 100 << 10, L2_CYCLES_AMPERE)),
    Gpu("RTX 4090", 1008, 82.6, 165.2, Multiprocessors(89, 89, 128, 2.52, 1536, 24, 100 << 10, L2_CYCLES_ADA)),
    Gpu("Jetson AGX Orin 64GB", 204.8, 5.3, 42.5,
        Multiprocessors(87, 86, 16, 1.3, 1536, 16, 164 << 10, L2_CYCLES_AMPERE)),
    Gpu("H100 SXM", 3350, 66.9, 989.0, Multiprocessors(90, 90, 132, 1.98, 2048, 32, 228 << 10, L2_CYCLES_HOPPER)),
)  # fmt: skip


@dataclass(frozen=True)
class Occupancy:
    """Occupancy of one multiprocessor: resident blocks, and their share of the maximum number of threads."""

    blocks: int
    share: float


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def occupancy(gpu: Multiprocessors, registers: int, threads: int, shared_bytes: int) -> Occupancy:
    """Occupancy by the rules of NVIDIA's cuda_occupancy.h.

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
    """The number of waves of `blocks` on the GPU; a partial wave takes as long as a whole one."""
    if not resident.blocks:
        raise ValueError("a block needs more than a multiprocessor has")
    return blocks / (gpu.count * resident.blocks)


def latency_floor(gpu: Multiprocessors, blocks: int, resident: Occupancy, load_phases: float, barriers: float) -> float:
    """Latency of one launch in microseconds: in every wave the chain of a block's loads and barriers.

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
    """Latency of one launch of our kernels on one GPU."""

    occupancy: Occupancy
    waves: float
    microseconds: float


def waiting(gpu: Multiprocessors, done: Execution) -> Waiting:
    """The latency, with registers from resources.csv."""
    resources = committed()[done.kernel, gpu.compiled_for]
    shared_bytes = done.shared_bytes + resources.static_shared_bytes
    resident = occupancy(gpu, resources.registers, done.threads, shared_bytes)
    return Waiting(
        resident,
        waves(gpu, done.blocks, resident),
        latency_floor(gpu, done.blocks, resident, done.load_phases, done.barriers),
    )

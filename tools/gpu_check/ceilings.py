"""Measured peak rates of the GPU, and the lower bounds on time that follow from them (a roofline model)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from kernel_cost.cost import compulsory
from vectors import DPWConvCase, DPWInvertedResidualCase

from gpu_check.torch_device import PRECISIONS, TorchDevice

Level = DPWConvCase | DPWInvertedResidualCase
TF32 = "TF32"
_LAUNCHES = 40
"""In one graph: enough that the graph's own start does not count."""


@dataclass(frozen=True)
class Ceilings:
    """Bytes per second of a large copy, read and written; multiply-adds per second of a large matrix product by type,
    and of float32 with TF32; seconds of a launch that does nothing, among others in a CUDA graph."""

    bytes_per_second: float
    multiply_adds: dict[str, float]
    launch: float

    @classmethod
    def measured(cls, device: TorchDevice) -> Ceilings:
        # A gigabyte, or a sixteenth of the free memory of a small GPU.
        count = 1 << 20 if device.host else min(1 << 28, torch.cuda.mem_get_info()[0] // 64)
        source = torch.empty(count, dtype=torch.float32, device=device.device).normal_()
        target = torch.empty_like(source)
        copy = device.median_milliseconds(lambda: target.copy_(source), 10)
        rates = {name: _product_rate(dtype, device, tf32=False) for name, dtype in PRECISIONS.items()}
        rates[TF32] = _product_rate(torch.float32, device, tf32=True)
        tiny = torch.zeros(1, 1, 1, 1, device=device.device)
        empty = graph_microseconds([lambda: torch.ops.hyperseg.upsample_argmax(tiny, 1)], device)
        return cls(1e3 * 2 * source.nbytes / copy, rates, 1e-6 * empty)

    def level_floor(self, level: Level) -> float:
        """Lower bound in microseconds: the maximum of the times for bytes, for multiply-adds and of an empty launch."""
        cost = compulsory(level)
        patches = level.grid[0] * level.grid[1]
        memory = patches * cost.bytes / self.bytes_per_second
        return 1e6 * max(memory, patches * cost.multiply_adds / self.multiply_adds[level.dtype], self.launch)

    def network_floor(self, multiply_adds: int, precision: str) -> float:
        """Milliseconds for a network's multiply-adds; in float32 with TF32, which convolutions use."""
        return 1e3 * multiply_adds / self.multiply_adds[TF32 if precision == "float32" else precision]

    def row(self) -> dict[str, Any]:
        return {
            "copy, GB/s": self.bytes_per_second / 1e9,
            **{f"{name} product, TFLOP/s": 2 * rate / 1e12 for name, rate in self.multiply_adds.items()},
            "empty launch in a graph, us": 1e6 * self.launch,
        }


def _product_rate(dtype: torch.dtype, device: TorchDevice, *, tf32: bool) -> float:
    side = 128 if device.host else 8192
    a, b = (torch.randn(side, side, device=device.device).to(dtype) for _ in range(2))
    allowed, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, tf32
    try:
        return 1e3 * side**3 / device.median_milliseconds(lambda: a @ b, 5)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def graph_microseconds(calls: list[Callable[[], Any]], device: TorchDevice) -> float:
    """Microseconds of one launch, with `calls` interleaved in a CUDA graph."""
    launches = len(calls) if device.host else max(_LAUNCHES, len(calls))

    def all_calls() -> list[Any]:
        # Kept, so that every launch of the graph has a separate output: else all would write the same memory in L2.
        return [calls[index % len(calls)]() for index in range(launches)]

    graph = device.captured(all_calls)
    return 1e3 * device.median_milliseconds(graph, 1 if device.host else 15, 0 if device.host else 3) / launches

"""Frames a second, batch 1, uint8 picture in and uint8 labels out: with transfers (protocol A) and on the device alone.

Ours is the folded network (`hyperseg.fold`) with its dynamic convolutions on our kernels; static is the same with
regular convolutions in place of the dynamic ones; published is the network in the published formulation: patches
unfolded for one grouped convolution, BatchNorms as they are.
The ways to run one network follow each other in every round, so that clocks and temperature meet all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from hyperseg_export.deployment import Deployment
from plain import plain

import hyperseg
from gpu_check import driver
from gpu_check.ceilings import Ceilings
from gpu_check.stage import Context, Reporter
from gpu_check.torch_device import PRECISIONS, PRESETS, TorchDevice, network

_TABLE = "frame rates"
_COMPILED_TABLE = "torch.compile"
_SECONDS_EACH = 6.0
_SECONDS_TO_MEASURE = 4.0
_SECONDS_TO_COMPILE = 45.0
_ROUNDS = 60
_WARM_UP = 5


@dataclass(frozen=True)
class _Way:
    """One way to run a network: `frame` with both transfers, `device` with the picture on the device."""

    name: str
    frame: Callable[[], Any]
    device: Callable[[], Any]


def run(context: Context, reporter: Reporter) -> None:
    device = TorchDevice(context)
    reporter.note(
        "Medians. frames/s: wall-clock time from handing over a picture in pinned memory to having its labels; "
        "device ms: between two events. TF32 as PyTorch has it: on for convolutions, off for products. DPWConv's "
        "share is 1 - static / ours, both as CUDA graphs. A network's floor is its multiply-adds over the "
        "measured rate of a product of the type (float32: TF32); that of its levels is also their bytes over the "
        "measured bandwidth."
    )
    presets = PRESETS[:1] if context.host else PRESETS
    with device.our_kernels(context), torch.inference_mode():
        ceilings = Ceilings.measured(device)
        reporter.row("ceilings", **ceilings.row())
        for preset in presets:
            for precision, dtype in PRECISIONS.items():
                if context.seconds_left < _SECONDS_EACH:
                    reporter.row(_TABLE, preset=preset, precision=precision, way="no time was left")
                    continue
                _one_network(preset, precision, dtype, ceilings, device, context, reporter)
        for preset in presets:
            for precision, dtype in PRECISIONS.items():
                if not device.host and context.seconds_left > _SECONDS_TO_COMPILE:
                    _compiled(preset, precision, dtype, device, context, reporter)


def _deployment(model: Any, dtype: torch.dtype, device: TorchDevice, *, fused_end: bool) -> Any:
    deployed = Deployment(model, dtype=dtype, fused_end=fused_end).eval().to(device.device)
    deployed.network.to(dtype)
    return deployed


def _ways(preset: str, dtype: torch.dtype, device: TorchDevice, context: Context) -> Iterator[tuple[str, Any, bool]]:
    """Name, module and whether it is run as a CUDA graph."""
    model = network(preset, context)
    published = _deployment(plain(model), dtype, device, fused_end=False)
    static = _deployment(hyperseg.fold(network(preset, context, dynamic=False)), dtype, device, fused_end=True)
    ours = _deployment(hyperseg.fold(model), dtype, device, fused_end=True)
    yield "ours", ours, False
    yield "ours, CUDA graph", ours, True
    yield "published", published, False
    yield "published, CUDA graph", published, True
    yield "static", static, False
    yield "static, CUDA graph", static, True


def _way(name: str, module: Any, graph: bool, device: TorchDevice, size: tuple[int, int]) -> _Way:
    shape = (1, *size, 3)
    random = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    picture = random if device.host else random.pin_memory()
    on_device = picture.to(device.device)
    labels = torch.empty(shape[:3], dtype=torch.uint8, pin_memory=not device.host)

    def network_alone() -> Any:
        return module(on_device)

    compute = device.captured(network_alone) if graph else network_alone

    def frame() -> None:
        on_device.copy_(picture, non_blocking=True)
        labels.copy_(compute(), non_blocking=True)
        device.synchronize()

    return _Way(name, frame, compute)


def _one_network(
    preset: str,
    precision: str,
    dtype: torch.dtype,
    ceilings: Ceilings,
    device: TorchDevice,
    context: Context,
    reporter: Reporter,
) -> None:
    ways = []
    size = device.size(network(preset, context).config)
    for name, module, graph in _ways(preset, dtype, device, context):
        try:
            ways.append(_way(name, module, graph, device, size))
        except RuntimeError as error:  # cuDNN may refuse thousands of groups, or a capture
            reporter.row(_TABLE, preset=preset, precision=precision, way=name, note=" ".join(str(error).split())[:160])
            device.synchronize()
    frames, alone = _measure(ways, device, _SECONDS_TO_MEASURE)
    config = hyperseg.create(preset).config
    floors = {
        dynamic: ceilings.network_floor(
            hyperseg.summary(hyperseg.create(config.replace(dynamic=dynamic)), size).macs, precision
        )
        for dynamic in (True, False)
    }
    for way in ways:
        reporter.row(
            _TABLE,
            preset=preset,
            precision=precision,
            way=way.name,
            **{
                "frames/s": 1e3 / frames[way.name],
                "frame ms": frames[way.name],
                "device ms": alone[way.name],
                "floor ms": floors[not way.name.startswith("static")],
            },
        )
    if {"ours, CUDA graph", "static, CUDA graph"} <= alone.keys():
        state = driver.state()
        reporter.row(
            "share of DPWConv",
            preset=preset,
            precision=precision,
            **{
                "DPWConv, % of a frame": 100.0 * (1.0 - alone["static, CUDA graph"] / alone["ours, CUDA graph"]),
                "DPWConv ms": alone["ours, CUDA graph"] - alone["static, CUDA graph"],
                "floor of its levels, ms": ceilings.preset_floor(preset, precision),
                "ours / published, CUDA graphs": alone["ours, CUDA graph"]
                / alone.get("published, CUDA graph", float("nan")),
                "SM clock": state.get("clocks.sm", ""),
                "temperature": state.get("temperature.gpu", ""),
            },
        )


def _measure(ways: list[_Way], device: TorchDevice, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """Median milliseconds a frame and on the device alone, interleaved."""
    frames: dict[str, list[float]] = {way.name: [] for way in ways}
    alone: dict[str, list[float]] = {way.name: [] for way in ways}
    if device.host:  # once each: a rehearsal measures nothing
        for way in ways:
            alone[way.name] = frames[way.name] = [device.milliseconds(way.frame)]
    for way in [] if device.host else ways * _WARM_UP:
        way.frame()
    until = time.monotonic() + seconds
    for done in range(0 if device.host else _ROUNDS):
        if done >= 5 and time.monotonic() > until:
            break
        for way in ways:
            started = time.perf_counter()
            way.frame()
            frames[way.name].append(1e3 * (time.perf_counter() - started))
            alone[way.name].append(device.milliseconds(way.device))
    return (
        {name: statistics.median(values) for name, values in frames.items()},
        {name: statistics.median(values) for name, values in alone.items()},
    )


def _compiled(
    preset: str, precision: str, dtype: torch.dtype, device: TorchDevice, context: Context, reporter: Reporter
) -> None:
    """The published formulation under torch.compile, beside ours as a CUDA graph."""
    model = network(preset, context)
    size = device.size(model.config)
    ours = _deployment(hyperseg.fold(model), dtype, device, fused_end=True)
    published = _deployment(plain(model), dtype, device, fused_end=False)
    torch.compiler.reset()
    started = time.monotonic()
    try:
        ways = [
            _way("ours, CUDA graph", ours, True, device, size),
            _way("published, torch.compile", torch.compile(published), False, device, size),
        ]
        for way in ways:
            way.frame()
        frames, alone = _measure(ways, device, _SECONDS_TO_MEASURE)
    except Exception as error:
        reporter.row(_COMPILED_TABLE, preset=preset, precision=precision, note=" ".join(str(error).split())[:160])
        return
    for way in ways:
        reporter.row(
            _COMPILED_TABLE,
            preset=preset,
            precision=precision,
            way=way.name,
            **{
                "frames/s": 1e3 / frames[way.name],
                "device ms": alone[way.name],
                "compiled in, s": round(time.monotonic() - started),
            },
        )

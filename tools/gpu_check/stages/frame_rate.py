"""Frames a second, batch 1, uint8 image in and uint8 labels out: with transfers (protocol A) and on the device alone.

ours             the folded network (`hyperseg.fold`), its dynamic convolutions on our kernels
published        the network in the published formulation: patches unfolded for one grouped convolution, BatchNorms as
                 they are, upsampling and arg max by PyTorch
published decoder
                 the folded encoder and context head and our fused end, with the published decoder between them
no DPWConv       the folded network with regular convolutions in place of the dynamic ones, our fused end

The variants of a network are interleaved in every round, so that clocks and temperature affect all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from hyperseg_export.tracing import Deployment
from plain import plain

import hyperseg
from gpu_check import driver
from gpu_check.ceilings import Ceilings
from gpu_check.stage import Context, Reporter
from gpu_check.torch_device import PRECISIONS, PRESETS, TorchDevice, network

_TABLE = "frame rates"
_COMPILED_TABLE = "torch.compile"
_SECONDS_EACH = 5.0
_SECONDS_TO_COMPILE = 75.0
_LEAST_ROUNDS = 5
_ROUNDS = 60
_WARM_UP = 5


@dataclass(frozen=True)
class _Way:
    """One way to run a network: `frame` with both transfers; `device`, for CUDA graphs, with the image on the device.
    Of eager ways the time between two events would be the time of launching."""

    name: str
    frame: Callable[[], Any]
    device: Callable[[], Any] | None


def run(context: Context, reporter: Reporter) -> None:
    device = TorchDevice(context)
    reporter.note(
        "Medians. frames/s: wall-clock time from handing over an image in pinned memory to having its labels; "
        "device ms: a CUDA graph between two events. TF32 as PyTorch has it: on for convolutions, off for products. A "
        "network's floor is its multiply-adds over the measured rate of a product of the type (float32: TF32)."
    )
    presets = PRESETS[:1] if context.host else PRESETS
    networks = [(preset, precision) for preset in presets for precision in PRECISIONS]
    with device.our_kernels(context), torch.inference_mode():
        ceilings = Ceilings.measured(device)
        reporter.row("ceilings", **ceilings.row())
        for index, (preset, precision) in enumerate(networks):
            seconds = (context.seconds_left - _SECONDS_TO_COMPILE) / (len(networks) - index)
            if seconds < _SECONDS_EACH and not device.host:
                reporter.row(_TABLE, preset=preset, precision=precision, way="no time was left")
                continue
            _one_network(preset, precision, seconds / 3, ceilings, device, context, reporter)
        for preset, precision in networks:
            if not device.host and context.seconds_left > _SECONDS_TO_COMPILE:
                _compiled(preset, precision, device, context, reporter)


def _deployment(model: Any, precision: str, device: TorchDevice, *, fused_end: bool = True) -> Any:
    dtype = PRECISIONS[precision]
    deployed = Deployment(model, dtype=dtype, fused_end=fused_end).eval().to(device.device)
    deployed.network.to(dtype)
    return deployed


def _published_decoder(model: Any) -> Any:
    """The folded network with the published formulation of its decoder."""
    folded = hyperseg.fold(model)
    folded.decoder = plain(model).decoder
    return folded


_OURS, _STATIC = "ours, CUDA graph", "no DPWConv, CUDA graph"
_PUBLISHED_DECODER = "published decoder, CUDA graph"


def _ways(preset: str, precision: str, device: TorchDevice, context: Context) -> Iterator[tuple[str, Any, bool]]:
    """Name, module, and whether it runs as a CUDA graph."""
    model = network(preset, context)
    ours = _deployment(hyperseg.fold(model), precision, device)
    yield "ours", ours, False
    yield _OURS, ours, True
    published = _deployment(plain(model), precision, device, fused_end=False)
    yield "published", published, False
    yield "published, CUDA graph", published, True
    yield _PUBLISHED_DECODER, _deployment(_published_decoder(model), precision, device), True
    static = _deployment(hyperseg.fold(network(preset, context, dynamic=False)), precision, device)
    yield "no DPWConv", static, False
    yield _STATIC, static, True


def _way(name: str, module: Any, graph: bool, device: TorchDevice, size: tuple[int, int]) -> _Way:
    shape = (1, *size, 3)
    random = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image = random if device.host else random.pin_memory()
    on_device = image.to(device.device)
    labels = torch.empty(shape[:3], dtype=torch.uint8, pin_memory=not device.host)

    def network_alone() -> Any:
        return module(on_device)

    compute = device.captured(network_alone) if graph else network_alone

    def frame() -> None:
        on_device.copy_(image, non_blocking=True)
        labels.copy_(compute(), non_blocking=True)
        device.synchronize()

    return _Way(name, frame, compute if graph else None)


def _one_network(
    preset: str,
    precision: str,
    seconds: float,
    ceilings: Ceilings,
    device: TorchDevice,
    context: Context,
    reporter: Reporter,
) -> None:
    ways = []
    config = hyperseg.create(preset).config
    size = device.size(config)
    for name, module, graph in _ways(preset, precision, device, context):
        try:
            ways.append(_way(name, module, graph, device, size))
            ways[-1].frame()
        except RuntimeError as error:  # cuDNN may refuse thousands of groups, or a capture; of ours it is a failure
            note = " ".join(str(error).split())[:160]
            failed = {"ok": False} if name.startswith("ours") else {}
            reporter.row(_TABLE, preset=preset, precision=precision, way=name, note=note, **failed)
            ways = [way for way in ways if way.name != name]
            device.synchronize()
    frames, alone = _measure(ways, device, seconds)
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
                "device ms": alone.get(way.name),
                "floor ms": floors[not way.name.startswith("no DPWConv")],
            },
        )
    state = {} if device.host else driver.state(driver.find_gpu())
    reporter.row(
        "cost of dynamic convolutions, device time",
        preset=preset,
        precision=precision,
        **{
            "ours, % over no DPWConv": _percent(alone, _OURS, _STATIC),
            "published decoder, % over no DPWConv": _percent(alone, _PUBLISHED_DECODER, _STATIC),
            "SM clock": state.get("clocks.sm"),
            "temperature": state.get("temperature.gpu"),
        },
    )


def _percent(milliseconds: dict[str, float], one: str, other: str) -> float | None:
    """The slowdown on the device in per cent."""
    if one not in milliseconds or other not in milliseconds:
        return None
    return 100.0 * (milliseconds[one] / milliseconds[other] - 1.0)


def _measure(ways: list[_Way], device: TorchDevice, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """Median milliseconds per frame, and of CUDA graphs on the device alone; interleaved."""
    frames: dict[str, list[float]] = {way.name: [] for way in ways}
    alone: dict[str, list[float]] = {way.name: [] for way in ways if way.device}
    until = time.monotonic() + seconds
    for done in range(1 if device.host else _ROUNDS):  # a rehearsal measures nothing
        if done >= _LEAST_ROUNDS and time.monotonic() > until:
            break
        for way in ways:
            started = time.perf_counter()
            way.frame()
            frames[way.name].append(1e3 * (time.perf_counter() - started))
            if way.device:
                alone[way.name].append(device.milliseconds(way.device))
    return (
        {name: statistics.median(values) for name, values in frames.items()},
        {name: statistics.median(values) for name, values in alone.items()},
    )


def _compiled(preset: str, precision: str, device: TorchDevice, context: Context, reporter: Reporter) -> None:
    """The folded network with the published decoder under torch.compile, as a CUDA graph, with ours."""
    model = network(preset, context)
    size = device.size(model.config)
    started = time.monotonic()
    torch.compiler.reset()
    modules = {
        _OURS: _deployment(hyperseg.fold(model), precision, device),
        "published decoder, torch.compile, CUDA graph": torch.compile(
            _deployment(_published_decoder(model), precision, device)
        ),
    }
    try:
        ways = [_way(name, module, True, device, size) for name, module in modules.items()]
        for way in ways:
            way.frame()
        frames, alone = _measure(ways, device, _SECONDS_EACH)
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

"""Build options, and the choice of TensorRT and GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from hyperseg_runtime.backends import cuda, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Gpu
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.metadata import InputSpec, InputType, Metadata, Precision

from hyperseg_export.engine.graph_tensors import GraphShape
from hyperseg_export.errors import EngineError, OptionError
from hyperseg_export.options import LARGEST_SIDE, Resolution

_LARGEST_BATCH = 1024
_LARGEST_WORKSPACE = 1 << 20
"""MiB: one TiB."""


@dataclass(frozen=True)
class Profile:
    """Input shapes of an engine of a dynamic model: from `least` to `most`, fastest at `best`."""

    least: Resolution
    best: Resolution
    most: Resolution
    batch: int = 1
    """Images at once: from 1 to `batch`, fastest at 1."""

    def shapes(self, shape: GraphShape, spec: InputSpec) -> tuple[tuple[int, ...], ...]:
        """Least, best and most shape of the input that has this shape in the graph."""
        result = []
        for resolution, batch in ((self.least, 1), (self.best, 1), (self.most, self.batch)):
            size = (resolution.height, resolution.width)
            wanted = (batch, *size, 3) if spec.dtype is InputType.UINT8 else (batch, 3, *size)
            result.append(tuple(asked if own is None else own for own, asked in zip(shape, wanted, strict=True)))
        return tuple(result)


@dataclass(frozen=True)
class EngineOptions:
    """Options of an engine build.

    Attributes:
        half: convert the graph to float16, all but what `float16` keeps in float32.
        keep_float32: more names of operators or nodes to keep in float32.
        flavour: the TensorRT to build with; None takes the installed one, the full TensorRT first.
        compute_capabilities: GPUs to build for ahead of time ("8.6"); empty: the GPU of this machine, and without one
            those of USUAL_TARGETS.
        least, best, most: input resolutions of a dynamic model. None: `best` is the model's own, or the nearest between
            the other two; these are `best`.
        batch: the largest batch of a dynamic model.
        timing_cache: file that keeps kernel timings from build to build; of TensorRT, not of TensorRT for RTX.
        workspace: largest scratch memory in MiB; None leaves it to TensorRT.
        optimization_level: 0 (fast build) to 5 (fast engine); None leaves it to TensorRT.
        tf32: let float32 layers multiply in TF32 on GPUs that can, which is TensorRT's default: factors of 11 bits,
            sums of float32.
        verify: run the engine against ONNX Runtime where a GPU is present, and keep it only if they agree.
        force: replace an existing file.
        allow_host_code: keep an engine although TensorRT put code for the host into it.
        low_logits: give the engine the logits at the network's own output size as an output (LOW_LOGITS), from which
            labels at the sizes of frames are computed. False for other hosts, which then see the file's outputs alone.
    """

    half: bool = False
    keep_float32: tuple[str, ...] = ()
    flavour: Flavour | None = None
    compute_capabilities: tuple[str, ...] = ()
    least: Resolution | None = None
    best: Resolution | None = None
    most: Resolution | None = None
    batch: int | None = None
    timing_cache: Path | None = None
    workspace: int | None = None
    optimization_level: int | None = None
    tf32: bool = True
    verify: bool = True
    force: bool = False
    allow_host_code: bool = False
    low_logits: bool = True

    def __post_init__(self) -> None:
        for capability in self.compute_capabilities:
            if not re.fullmatch(r"\d{1,2}\.\d", capability):
                raise OptionError(f"compute capability {capability!r} is not MAJOR.MINOR; write for example 8.6")
        if self.workspace is not None and not 1 <= self.workspace <= _LARGEST_WORKSPACE:
            raise OptionError(f"--workspace {self.workspace} is not between 1 and {_LARGEST_WORKSPACE} (MiB)")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise OptionError(f"--optimization-level {self.optimization_level} is not between 0 and 5")
        if self.keep_float32 and not self.half:
            raise OptionError("--keep-fp32 requires --fp16; without it the engine uses the model's types")

    @property
    def has_profile(self) -> bool:
        return any(value is not None for value in (self.least, self.best, self.most, self.batch))

    def precision(self, metadata: Metadata) -> Precision:
        """The precision of an engine of the model with this metadata."""
        return Precision.FLOAT16 if self.half else metadata.precision

    def profile(self, spec: InputSpec) -> Profile:
        """The profile for a model with this input. Raises EngineError."""
        options = (("--min", self.least), ("--opt", self.best), ("--max", self.most))
        given = [(option, resolution) for option, resolution in options if resolution is not None]
        for option, resolution in given:
            _check_resolution(option, resolution, spec.multiple)
        for (smaller, small), (larger, large) in combinations(given, 2):
            if small.height > large.height or small.width > large.width:
                raise EngineError(
                    f"{smaller} {small} is higher or wider than {larger} {large}; a profile grows from --min to --max"
                )
        batch = 1 if self.batch is None else self.batch
        if not 1 <= batch <= _LARGEST_BATCH:
            raise EngineError(f"--batch {batch} is not between 1 and {_LARGEST_BATCH}")
        best = self.best or _within(Resolution(spec.height, spec.width), self.least, self.most)
        return Profile(self.least or best, best, self.most or best, batch)


def _check_resolution(option: str, resolution: Resolution, multiple: int) -> None:
    for side, value in (("height", resolution.height), ("width", resolution.width)):
        if value > LARGEST_SIDE:
            raise EngineError(f"{option} {resolution}: {side} {value} is over {LARGEST_SIDE}; use a smaller one")
        if value < 1 or value % multiple:
            nearest = max(1, round(value / multiple)) * multiple
            raise EngineError(f"{option} {resolution}: {side} {value} is not a multiple of {multiple}; use {nearest}")


def _within(own: Resolution, least: Resolution | None, most: Resolution | None) -> Resolution:
    """The resolution between the two that is nearest to the model's own."""
    height, width = own.height, own.width
    if least is not None:
        height, width = max(height, least.height), max(width, least.width)
    if most is not None:
        height, width = min(height, most.height), min(width, most.width)
    return Resolution(height, width)


TURING = "7.5"
"""Compute capability of the oldest GPUs that TensorRT for RTX builds for."""

USUAL_TARGETS = ("8.6", "8.9", "12.0")
"""GeForce RTX 30, 40 and 50: what an engine is for where neither a GPU nor an option says. Each target adds a copy of
the weights to the file; Turing (7.5) costs the others speed, see `surgery.matmul_to_conv`."""


@dataclass(frozen=True)
class BuildTarget:
    """A TensorRT flavour and the GPUs to build for."""

    tensorrt: TensorRT
    compute_capabilities: tuple[str, ...]
    gpu: Gpu | None
    """The GPU of this machine if the engine is for it, else None."""

    @property
    def ahead_of_time(self) -> bool:
        """Whether the flavour builds by compute capability, without timing kernels on the GPU."""
        return bool(capabilities(self.tensorrt))


def choose_target(options: EngineOptions) -> BuildTarget:
    """Chooses by the options, the installation and this machine. Raises EngineError or LibraryMissingError."""
    driver = cuda.find_gpus()
    gpu = driver.gpus[0] if driver.gpus else None
    tensorrt = tensorrt_flavour.load(options.flavour or _installed(gpu))
    known = capabilities(tensorrt)
    asked = options.compute_capabilities
    if not known:
        if asked and (gpu is None or asked != (gpu.compute_capability,)):
            raise EngineError(
                f"{tensorrt.name} builds for the GPU of this machine only; "
                f"leave --compute-capability out, or use --flavour {Flavour.RTX.value}"
            )
        if gpu is None:
            raise EngineError(
                f"{tensorrt.name} builds on the GPU that the engine is for: {driver.problem}; "
                f"build on the device, or ahead of time with --flavour {Flavour.RTX.value} ({Flavour.RTX.extra})"
            )
        return BuildTarget(tensorrt, (gpu.compute_capability,), gpu)
    if options.timing_cache is not None:
        # NVIDIA's "Timing Cache Migration" (TensorRT for RTX); its headers: "timing cache operations are no-ops".
        raise EngineError(
            f"--timing-cache {options.timing_cache} has no effect in {tensorrt.name}, which times no kernels, and "
            "would need a GPU for the build; leave it out (compiled kernels are kept beside the engine once it runs)"
        )
    wanted = asked or ((gpu.compute_capability,) if gpu is not None else USUAL_TARGETS)
    for capability in wanted:
        if capability not in known:
            raise EngineError(unknown_capability(tensorrt, capability))
    return BuildTarget(tensorrt, wanted, gpu if gpu is not None and gpu.compute_capability in wanted else None)


def capabilities(tensorrt: TensorRT) -> dict[str, Any]:
    """Compute capabilities available ahead of time, by their common names (SM86 is 8.6): those of the release's enum
    that its flavour supports."""
    members = getattr(getattr(tensorrt.module, "ComputeCapability", None), "__members__", {})
    known = {f"{name[2:-1]}.{name[-1]}": value for name, value in members.items() if name.startswith("SM")}
    return {name: value for name, value in known.items() if tensorrt.flavour.supports(name)}


def unknown_capability(tensorrt: TensorRT, capability: str) -> str:
    """The error of a compute capability that cannot be built for ahead of time."""
    message = (
        f"{tensorrt.name} does not build for compute capability {capability}; "
        f"it supports {', '.join(capabilities(tensorrt))}"
    )
    if tensorrt.flavour.supports(capability):  # newer than the installed release
        return f"{message}; update it"
    return (
        f"{message}: GeForce and RTX GPUs. For others (A100, H100, B200) build on the GPU itself, "
        f"with --flavour {Flavour.TENSORRT.value}"
    )


def _installed(gpu: Gpu | None) -> Flavour:
    """The full TensorRT if it can build here, else TensorRT for RTX."""
    found = tensorrt_flavour.installed()
    if not found:
        raise EngineError(
            f"no TensorRT is installed; {Flavour.TENSORRT.extra} on a machine with an NVIDIA GPU, "
            f"or {Flavour.RTX.extra} for GeForce RTX and to build ahead of time"
        )
    return Flavour.RTX if gpu is None and Flavour.RTX in found else found[0]

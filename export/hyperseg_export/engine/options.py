"""What a build is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.metadata import InputSpec, InputType

from hyperseg_export.engine.errors import EngineError
from hyperseg_export.errors import OptionError
from hyperseg_export.options import Resolution

_LARGEST_BATCH = 1024


@dataclass(frozen=True)
class Profile:
    """The shapes that an engine of a dynamic model takes: from `least` to `most`, fastest at `best`."""

    least: Resolution
    best: Resolution
    most: Resolution
    batch: int = 1
    """Pictures at once: from 1 to `batch`, fastest at 1."""

    def check(self, spec: InputSpec) -> None:
        """Raises EngineError where the model cannot have these shapes."""
        for option, resolution in (("--min", self.least), ("--opt", self.best), ("--max", self.most)):
            for side, value in (("height", resolution.height), ("width", resolution.width)):
                if value < 1 or value % spec.multiple:
                    nearest = max(1, round(value / spec.multiple)) * spec.multiple
                    raise EngineError(
                        f"{option} {resolution}: {side} {value} is not a multiple of {spec.multiple}; use {nearest}"
                    )
        for smaller, small, larger, large in (
            ("--min", self.least, "--opt", self.best),
            ("--opt", self.best, "--max", self.most),
        ):
            if small.height > large.height or small.width > large.width:
                raise EngineError(
                    f"{smaller} {small} is higher or wider than {larger} {large}; a profile grows from --min to --max"
                )
        if not 1 <= self.batch <= _LARGEST_BATCH:
            raise EngineError(f"--batch {self.batch} is not between 1 and {_LARGEST_BATCH}")

    def shapes(self, dimensions: tuple[int, ...], spec: InputSpec) -> tuple[tuple[int, ...], ...]:
        """Least, best and most shape of the input whose shape in the graph is `dimensions` (-1 where it is open)."""
        result = []
        for resolution, batch in ((self.least, 1), (self.best, 1), (self.most, self.batch)):
            size = (resolution.height, resolution.width)
            wanted = (batch, *size, 3) if spec.dtype is InputType.UINT8 else (batch, 3, *size)
            result.append(tuple(own if own > 0 else asked for own, asked in zip(dimensions, wanted, strict=True)))
        return tuple(result)


@dataclass(frozen=True)
class EngineOptions:
    """How an ONNX file becomes an engine.

    Attributes:
        half: convert the graph to float16, all but what `float16` keeps in float32.
        keep_float32: more names of operators or nodes to keep in float32.
        flavour: the TensorRT to build with; None takes the installed one, the full TensorRT first.
        compute_capabilities: GPUs to build for ahead of time ("8.6"); empty: the GPU of this machine, and without one
            those of `targets.USUAL_TARGETS`.
        least, best, most: input resolutions of a dynamic model; None follows the model's own, or each other.
        batch: the largest batch of a dynamic model.
        timing_cache: file that keeps kernel timings from build to build.
        workspace: largest scratch memory in MiB; None leaves it to TensorRT.
        optimization_level: 0 (fast build) to 5 (fast engine); None leaves it to TensorRT.
        verify: run the engine against ONNX Runtime where a GPU is present, and keep it only if they agree.
        force: replace an existing file.
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
    verify: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        for capability in self.compute_capabilities:
            if not re.fullmatch(r"\d{1,2}\.\d", capability):
                raise OptionError(f"compute capability {capability!r} is not MAJOR.MINOR; write for example 8.6")
        if self.workspace is not None and self.workspace < 1:
            raise OptionError(f"--workspace {self.workspace} is not a positive number of MiB")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise OptionError(f"--optimization-level {self.optimization_level} is not between 0 and 5")
        if self.keep_float32 and not self.half:
            raise OptionError("--keep-fp32 belongs to --fp16; without it everything is computed in the model's types")

    @property
    def has_profile(self) -> bool:
        return any(value is not None for value in (self.least, self.best, self.most, self.batch))

    def profile(self, spec: InputSpec) -> Profile:
        """The profile for a model with this input. Raises EngineError."""
        own = Resolution(spec.height, spec.width)
        best = self.best or self.most or self.least or own
        profile = Profile(self.least or best, best, self.most or best, 1 if self.batch is None else self.batch)
        profile.check(spec)
        return profile

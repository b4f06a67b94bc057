"""Which TensorRT builds, and for which GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from hyperseg_runtime.backends import cuda, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Gpu
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT

from hyperseg_export.engine.configuration import capabilities
from hyperseg_export.engine.errors import EngineError
from hyperseg_export.engine.options import EngineOptions

USUAL_TARGETS = ("8.6", "8.9", "12.0")
"""GeForce RTX 30, 40 and 50: what an engine is for where neither a GPU nor an option says. Each target adds a copy of
the weights to the file; Turing (7.5) costs the others speed, see `turing`."""


@dataclass(frozen=True)
class Target:
    """A TensorRT and the GPUs that it is to build for."""

    tensorrt: TensorRT
    compute_capabilities: tuple[str, ...]
    gpu: Gpu | None
    """The GPU of this machine if the engine is for it, else None."""

    @property
    def ahead_of_time(self) -> bool:
        """Whether the flavour builds by compute capability, without timing kernels on the GPU."""
        return bool(capabilities(self.tensorrt))


def choose(options: EngineOptions) -> Target:
    """From the options, the installation and this machine. Raises EngineError or LibraryMissingError."""
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
                f"{tensorrt.name} builds on the GPU that the engine is for, and there is {driver.problem}; "
                f"build on the device, or ahead of time with --flavour {Flavour.RTX.value} ({Flavour.RTX.extra})"
            )
        return Target(tensorrt, (gpu.compute_capability,), gpu)
    wanted = asked or ((gpu.compute_capability,) if gpu is not None else USUAL_TARGETS)
    for capability in wanted:
        if capability not in known:
            raise EngineError(
                f"{tensorrt.name} does not build for compute capability {capability}; it knows {', '.join(known)}"
            )
    return Target(tensorrt, wanted, gpu if gpu is not None and gpu.compute_capability in wanted else None)


def _installed(gpu: Gpu | None) -> Flavour:
    """The full TensorRT where it can build, else TensorRT for RTX."""
    found = tensorrt_flavour.installed()
    if not found:
        raise EngineError(
            f"no TensorRT is installed; {Flavour.TENSORRT.extra} on a machine with an NVIDIA GPU, "
            f"or {Flavour.RTX.extra} for GeForce RTX and to build ahead of time"
        )
    return Flavour.RTX if gpu is None and Flavour.RTX in found else found[0]

"""Whether an engine fits this machine: its GPU, its TensorRT, its plugin library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hyperseg_runtime import libraries
from hyperseg_runtime.backends import nvidia_driver, tensorrt_flavour
from hyperseg_runtime.backends.nvidia_driver import Driver
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.sidecar import EngineFacts

_REBUILD = "build the engine on this machine (hyperseg-build-engine MODEL.onnx)"


@dataclass(frozen=True)
class Machine:
    """What an engine's facts are held against."""

    driver: Driver
    device: int
    flavours: tuple[Flavour, ...]
    version: Callable[[Flavour], str]
    """Of an installed flavour. A call, since it imports TensorRT, which machines without a GPU need not do."""
    pycuda: bool
    plugin_library: Path | None

    @staticmethod
    def inspect(device: int = 0) -> Machine:
        """This machine."""
        return Machine(
            driver=nvidia_driver.find_gpus(),
            device=device,
            flavours=tensorrt_flavour.installed(),
            version=lambda flavour: tensorrt_flavour.load(flavour).version,
            pycuda=find_spec("pycuda") is not None,
            plugin_library=libraries.find(libraries.Library.TENSORRT),
        )


def misfit(engine: Path, facts: EngineFacts, machine: Machine) -> str | None:
    """The first reason why the engine cannot run on the machine, with its remedy; None where it fits."""
    return (
        _gpu_problem(engine, facts, machine)
        or _software_problem(engine, facts, machine)
        or _plugin_problem(facts, machine)
    )


def _gpu_problem(engine: Path, facts: EngineFacts, machine: Machine) -> str | None:
    if machine.driver.problem is not None:
        return f"{engine} needs a GPU: {machine.driver.problem}, or run the ONNX file instead"
    gpus = machine.driver.gpus
    if not 0 <= machine.device < len(gpus):
        return f"there is no GPU {machine.device} here, only 0 to {len(gpus) - 1}; choose one of these"
    gpu = gpus[machine.device]
    if gpu.compute_capability not in facts.compute_capabilities:
        built = ", ".join(facts.compute_capabilities)
        here = f"{gpu.name} has {gpu.compute_capability}"
        return f"{engine} was built for compute capability {built}, but {here}; {_REBUILD}"
    if facts.gpu is not None and facts.gpu != gpu.name:
        return f"{engine} was built on {facts.gpu}, but this is {gpu.name}; {_REBUILD}"
    return None


def _software_problem(engine: Path, facts: EngineFacts, machine: Machine) -> str | None:
    flavour = facts.flavour
    if flavour not in machine.flavours:
        here = " and ".join(other.label for other in machine.flavours) or "none"
        return (
            f"{engine} is an engine of {flavour.label} {facts.version}, which is not installed "
            f"(installed: {here}); {flavour.extra}, or {_REBUILD}"
        )
    try:
        version = machine.version(flavour)
    except LibraryMissingError as error:
        return str(error)
    if version != facts.version:
        return f"{engine} was built with {flavour.label} {facts.version}, but {version} is installed; {_REBUILD}"
    if not machine.pycuda:
        return f"pycuda is not installed, which engines are run with; {flavour.extra}"
    return None


def _plugin_problem(facts: EngineFacts, machine: Machine) -> str | None:
    if facts.plugin_layers == 0 or machine.plugin_library is not None:
        return None
    try:
        libraries.require(libraries.Library.TENSORRT)
    except LibraryMissingError as error:
        return f"the engine uses our operators, and {error}"
    return None

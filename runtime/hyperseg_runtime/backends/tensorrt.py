"""Backend `tensorrt`: engines of TensorRT and TensorRT for RTX, and whether they fit this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hyperseg_runtime import host_code, libraries, sidecar, signing
from hyperseg_runtime.backends import cuda, tensorrt_flavour
from hyperseg_runtime.backends.cuda import Driver
from hyperseg_runtime.backends.protocol import Availability, BackendName, Note, Session, SessionOptions, ignore
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import BackendUnavailableError, LibraryMissingError, ModelError
from hyperseg_runtime.extras import is_installed
from hyperseg_runtime.sealed_library import SealedLibrary, seal
from hyperseg_runtime.sidecar import EngineFacts

_REBUILD = "build the engine on this machine (hyperseg-build-engine MODEL.onnx)"


def availability(name: BackendName) -> Availability:
    """Checks driver, TensorRT, pycuda and our plugin library; `detail` names everything that is missing."""
    del name
    driver = cuda.find_gpus()
    flavours = tensorrt_flavour.installed()
    missing = missing_for(flavours)
    if missing:
        return Availability.lacking(*missing)
    gpus = ", ".join(f"{gpu.name} (compute capability {gpu.compute_capability})" for gpu in driver.gpus)
    return Availability(True, f"{' and '.join(flavour.label for flavour in flavours)} on {gpus}")


def missing_for(flavours: Sequence[Flavour]) -> tuple[str, ...]:
    """What is missing here to run engines of any of the installed `flavours`: one line each, with its remedy."""
    driver = cuda.find_gpus()
    missing = [] if driver.problem is None else [driver.problem]
    if not flavours:
        missing.append(f"no TensorRT is installed: {Flavour.TENSORRT.extra}")
    elif driver.gpus and not any(
        flavour.supports(gpu.compute_capability) for flavour in flavours for gpu in driver.gpus
    ):
        gpu = driver.gpus[0]
        missing.append(tensorrt_flavour.unsupported(flavours[0], gpu.name, gpu.compute_capability))
    if not is_installed("pycuda"):
        missing.append(f"pycuda is not installed: {(flavours or tuple(Flavour))[0].extra}")
    if not is_installed("cryptography"):
        missing.append(f"cryptography is not installed, which verifies engines: {signing.INSTALL}")
    if libraries.find(libraries.Library.TENSORRT) is None:
        missing.append(f"{libraries.Library.TENSORRT.value} was not built: pip install . where nvcc is")
    return tuple(missing)


def open_session(model: Path, name: BackendName, options: SessionOptions, note: Note = ignore) -> Session:
    """Loads an engine that a trusted key signed and that matches its sidecar (`sidecar` has the reasons).

    `note` receives a sentence where the runtime cache of TensorRT for RTX is not used or not written, and where labels
    of frames are not computed on the GPU or not from logits.

    Raises ModelError, BackendUnavailableError or LibraryMissingError, before TensorRT gets any of the plan.
    """
    from hyperseg_runtime.backends import device_labels
    from hyperseg_runtime.backends.frame_labels import no_frame_labels
    from hyperseg_runtime.backends.tensorrt_session import TensorRTSession

    del name
    described, plan = sidecar.read_plan(model)
    if not options.allow_host_code:
        check_host_code(model, plan)
    machine = Machine.inspect(options.device)
    problem = misfit(model, described.engine, machine)
    if problem is not None:
        raise BackendUnavailableError(problem)
    try:
        pycuda = import_module("pycuda.driver")
    except ImportError as error:
        raise LibraryMissingError(f"pycuda does not import ({error}); {described.engine.flavour.extra}") from error
    plugins = _plugins_of(model, described.engine)
    kernels = None
    if described.engine.low_logits:
        found = device_labels.find_kernels()
        if isinstance(found, str):
            note(device_labels.on_the_cpu(model, found))
        else:
            kernels = found
    else:
        note(no_frame_labels(model, f"the engine gives labels alone; {_REBUILD}"))
    return TensorRTSession(
        model,
        described.metadata,
        plan,
        gpu=machine.driver.gpus[options.device].name,
        tensorrt=tensorrt_flavour.load(described.engine.flavour),
        cuda=pycuda,
        plugin_library=None if plugins is None else plugins.path,
        options=options,
        cache_for=described.engine.plan_sha256,
        low_logits=described.engine.low_logits,
        kernels=kernels,
        note=note,
    )


def check_host_code(engine: Path, plan: bytes) -> None:
    """Raises ModelError for a plan with executables of the host in it."""
    found = host_code.find(plan)
    if found is not None:
        raise ModelError(
            f"{engine} carries code that would run on the host ({found}), as no engine of hyperseg-build-engine does, "
            f"so it was not loaded; {_REBUILD}, or allow it if you know what it is (--allow-host-code)"
        )


def _plugins_of(engine: Path, facts: EngineFacts) -> SealedLibrary | None:
    """The plugin library that the engine was built with, as its bytes were hashed; None if it uses none."""
    if facts.plugin_sha256 is None:
        return None
    found = seal(libraries.require(libraries.Library.TENSORRT))
    if found.sha256 != facts.plugin_sha256:
        raise ModelError(_another_plugin_library(engine, found.source))
    return found


def _another_plugin_library(engine: Path, library: Path) -> str:
    return (
        f"{engine} was built with another plugin library than {library} (its SHA-256 differs); {_REBUILD}, or install "
        "the wheel of hyperseg here that is installed there"
    )


@dataclass(frozen=True)
class Machine:
    """The parts of a machine that an engine depends on."""

    driver: Driver
    device: int
    """Index of the GPU."""
    flavours: tuple[Flavour, ...]
    """Those installed."""
    version: Callable[[Flavour], str]
    """Version of an installed flavour. A call, since it imports TensorRT, which machines without a GPU need not do."""
    pycuda: bool
    plugin_library: Path | None

    @staticmethod
    def inspect(device: int = 0) -> Machine:
        """This machine."""
        return Machine(
            driver=cuda.find_gpus(),
            device=device,
            flavours=tensorrt_flavour.installed(),
            version=lambda flavour: tensorrt_flavour.load(flavour).version,
            pycuda=is_installed("pycuda"),
            plugin_library=libraries.find(libraries.Library.TENSORRT),
        )


def misfit(engine: Path, facts: EngineFacts, machine: Machine) -> str | None:
    """The first reason why the engine cannot run on the machine, with its remedy; None if it can."""
    return (
        _gpu_problem(engine, facts, machine)
        or _software_problem(engine, facts, machine)
        or _plugin_problem(engine, facts, machine)
    )


def _gpu_problem(engine: Path, facts: EngineFacts, machine: Machine) -> str | None:
    if machine.driver.problem is not None:
        return f"{engine} needs a GPU: {machine.driver.problem}, or run the ONNX file instead"
    gpus = machine.driver.gpus
    if not 0 <= machine.device < len(gpus):
        return f"there is no GPU {machine.device} here, only 0 to {len(gpus) - 1}; choose one of these"
    gpu = gpus[machine.device]
    if not facts.flavour.supports(gpu.compute_capability):
        return f"{engine}: {tensorrt_flavour.unsupported(facts.flavour, gpu.name, gpu.compute_capability)}"
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


def _plugin_problem(engine: Path, facts: EngineFacts, machine: Machine) -> str | None:
    if facts.plugin_sha256 is None:
        return None
    try:
        library = machine.plugin_library or libraries.require(libraries.Library.TENSORRT)
        same = seal(library).sha256 == facts.plugin_sha256
    except LibraryMissingError as error:
        return f"the engine uses our operators, and {error}"
    return None if same else _another_plugin_library(engine, library)

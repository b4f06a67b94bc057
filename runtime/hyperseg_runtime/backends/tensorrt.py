"""Backend `tensorrt`: engines of TensorRT and TensorRT for RTX, through pycuda."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.backends import nvidia_driver, tensorrt_flavour
from hyperseg_runtime.backends.protocol import Availability, BackendName, Session, SessionOptions
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.backends.tensorrt_machine import Machine, misfit
from hyperseg_runtime.errors import BackendUnavailableError, LibraryMissingError


def availability(name: BackendName) -> Availability:
    """Looks at driver, TensorRT, pycuda and our plugin library, in the order in which one would install them."""
    del name
    driver = nvidia_driver.find_gpus()
    flavours = tensorrt_flavour.installed()
    if driver.problem is not None:
        return Availability(False, driver.problem)
    if not flavours:
        return Availability(False, f"no TensorRT is installed; {Flavour.TENSORRT.extra}")
    if find_spec("pycuda") is None:
        return Availability(False, f"pycuda is not installed; {flavours[0].extra}")
    if libraries.find(libraries.Library.TENSORRT) is None:
        return Availability(False, f"{libraries.Library.TENSORRT.value} was not built; pip install . where nvcc is")
    gpus = ", ".join(f"{gpu.name} (compute capability {gpu.compute_capability})" for gpu in driver.gpus)
    return Availability(True, f"{' and '.join(flavour.label for flavour in flavours)} on {gpus}")


def fits(model: Path) -> bool:
    """By the engine's sidecar; `hyperseg_runtime.sidecar.why_not` has the reason."""
    return sidecar.why_not(model) is None


def open_session(model: Path, name: BackendName, options: SessionOptions) -> Session:
    """Loads an engine that its sidecar vouches for. Raises ModelError, BackendUnavailableError, LibraryMissingError."""
    from hyperseg_runtime.backends.tensorrt_session import TensorRTSession

    del name
    described, plan = sidecar.read_plan(model)
    machine = Machine.inspect(options.device)
    problem = misfit(model, described.engine, machine)
    if problem is not None:
        raise BackendUnavailableError(problem)
    try:
        cuda = import_module("pycuda.driver")
    except ImportError as error:
        raise LibraryMissingError(f"pycuda does not import ({error}); {described.engine.flavour.extra}") from error
    needs_plugins = described.engine.plugin_layers > 0
    return TensorRTSession(
        model,
        described.metadata,
        plan,
        gpu=machine.driver.gpus[options.device].name,
        tensorrt=tensorrt_flavour.load(described.engine.flavour),
        cuda=cuda,
        plugin_library=libraries.require(libraries.Library.TENSORRT) if needs_plugins else None,
        options=options,
    )

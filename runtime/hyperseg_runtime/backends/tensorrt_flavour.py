"""The installed TensorRT flavours (TensorRT, TensorRT for RTX), found without importing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any

from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.extras import is_installed

OLDEST_MAJOR = 10
"""The first TensorRT with IPluginV3 and `getCreators`; every TensorRT for RTX (from 1.0 on) has both."""


class Flavour(str, Enum):
    """The members of the TensorRT family, by the names that `--flavour` takes. Their plans are not interchangeable."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt-rtx"

    @property
    def label(self) -> str:
        return "TensorRT" if self is Flavour.TENSORRT else "TensorRT for RTX"

    @property
    def extra(self) -> str:
        """How to install it."""
        return f'pip install "hyperseg[{self.value}]"'

    def supports(self, compute_capability: str) -> bool:
        """Whether it runs on GPUs of this compute capability ("8.6").

        TensorRT for RTX: those of its support matrix (1.0 to 1.5), which leaves out data centres' 8.0, 9.0 and 10.0
        although the enum ComputeCapability has SM80. For TensorRT, which builds on the GPU itself, its builder says so.
        """
        if self is Flavour.TENSORRT:
            return True
        return compute_capability in _RTX_BEFORE_BLACKWELL or compute_capability.startswith(_RTX_BLACKWELL)


_RTX_BEFORE_BLACKWELL = ("7.5", "8.6", "8.9")
_RTX_BLACKWELL = "12."

_MODULES: dict[Flavour, Sequence[str]] = {
    Flavour.TENSORRT: ("tensorrt",),
    Flavour.RTX: ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}


@dataclass(frozen=True)
class TensorRT:
    """An imported TensorRT."""

    flavour: Flavour
    module: Any
    """tensorrt, tensorrt_rtx or tensorrt_rtx_bindings: untyped, and different from release to release."""

    @property
    def version(self) -> str:
        """For example 10.14.1.48."""
        return str(self.module.__version__)

    @property
    def name(self) -> str:
        return f"{self.flavour.label} {self.version}"


def module_name(flavour: Flavour) -> str | None:
    """The Python module of an installed flavour; None if it is not installed."""
    for name in _MODULES[flavour]:
        if is_installed(name):
            return name
    return None


def unsupported(flavour: Flavour, gpu: str, compute_capability: str) -> str:
    """Says that a flavour does not run on a GPU, and what does."""
    return (
        f"{gpu} has compute capability {compute_capability}, which {flavour.label} does not support "
        f"(7.5, 8.6, 8.9 and 12.x: GeForce and RTX GPUs); install the full {Flavour.TENSORRT.label} there "
        f"({Flavour.TENSORRT.extra}) and build the engine with it (--flavour {Flavour.TENSORRT.value})"
    )


def installed() -> tuple[Flavour, ...]:
    """The installed flavours, the full TensorRT first."""
    return tuple(flavour for flavour in Flavour if module_name(flavour) is not None)


def load(flavour: Flavour) -> TensorRT:
    """Imports a flavour. Raises LibraryMissingError if it is not installed, does not import or is too old."""
    name = module_name(flavour)
    if name is None:
        raise LibraryMissingError(f"{flavour.label} is not installed; {flavour.extra}")
    try:
        found = TensorRT(flavour, import_module(name))
        version = found.version
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise LibraryMissingError(
            f"{flavour.label} is installed but does not import ({reason}); {flavour.extra}"
        ) from error
    if flavour is Flavour.TENSORRT and int(version.split(".")[0]) < OLDEST_MAJOR:
        raise LibraryMissingError(f"TensorRT {version} is too old; install {OLDEST_MAJOR}.0 or newer ({flavour.extra})")
    return found

"""What a backend is: something that opens a model file and runs it. Everything above knows only this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.backends.names import BackendName
from hyperseg_runtime.metadata import Metadata, Precision

__all__ = [
    "Availability",
    "Backend",
    "BackendName",
    "Images",
    "Outputs",
    "Session",
    "SessionOptions",
    "TimedOutputs",
    "as_backend",
]

Images = NDArray[np.uint8] | NDArray[np.float32]
"""uint8 [N, H, W, 3] RGB, or normalised float32 [N, 3, H, W]: whichever `metadata.input.dtype` says."""


@dataclass(frozen=True)
class SessionOptions:
    """How to run. Options that a backend has no use for are ignored by it."""

    threads: int | None = None
    """CPU threads of one inference; None: one for each physical core that this process may use."""
    device: int = 0
    """Index of the GPU."""
    providers: tuple[str, ...] | None = None
    """ONNX Runtime's execution providers, in order; None: those of the backend."""
    precision: Precision | None = None
    """Lets a backend compute in less than the model's precision (OpenVINO: bfloat16); None: as the model is."""
    profile: Path | None = None
    """Where ONNX Runtime writes its profile (prefix of the file's name)."""


@dataclass(frozen=True)
class Outputs:
    """A run's results on the host; what the model does not put out is None."""

    labels: NDArray[np.uint8] | None
    """[N, H, W]"""
    logits: NDArray[np.float32] | None
    """[N, C, H, W]"""


@dataclass(frozen=True)
class TimedOutputs:
    """A run's results and the time between its input lying on the device and its output lying there."""

    outputs: Outputs
    device_seconds: float


class Session(Protocol):
    """An open model. `run` may be called from several threads; after `close` it raises ModelError."""

    @property
    def backend(self) -> BackendName: ...

    @property
    def metadata(self) -> Metadata: ...

    @property
    def description(self) -> str:
        """One line for people: runtime, version, provider or GPU, threads."""

    def run(self, images: Images) -> Outputs:
        """From images on the host to results on the host: upload, network, download. Raises ModelError on a shape or
        type that the model does not take. The result belongs to the caller (no buffer of the session's)."""

    def run_timed(self, images: Images) -> TimedOutputs:
        """As `run`, measuring the device's part alone (CUDA events on a GPU; on the CPU the run itself)."""

    def close(self) -> None:
        """Frees everything; may be called again."""


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run on this machine, and what is there or missing (one line, with the remedy)."""

    available: bool
    detail: str


class Backend(Protocol):
    """A backend module: `backends/onnxruntime.py`, `backends/tensorrt.py`. Importing one is light."""

    def availability(self, name: BackendName) -> Availability:
        """Looks, without loading a model."""

    def fits(self, model: Path) -> bool:
        """Whether the file was made for this machine, as far as a quick look tells (an engine: its sidecar)."""

    def open_session(self, model: Path, name: BackendName, options: SessionOptions) -> Session:
        """Opens a model file. Raises ModelError, MetadataError, LibraryMissingError or BackendUnavailableError."""


def as_backend(module: ModuleType) -> Backend:
    """The module seen as a Backend: its functions are the protocol's methods."""
    return cast(Backend, module)

"""The backend interface (`Backend`, `Session` and their types), and the checks that all backends share.

Command lines import this module for its names, so that it must stay light: NumPy is imported for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from hyperseg_runtime.errors import InputError, MetadataError
from hyperseg_runtime.metadata import InputSpec, InputType, Metadata, OutputKind, Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyperseg_runtime.preprocess import Labels
    from hyperseg_runtime.upsampling import LowLogits, Placement

Images: TypeAlias = "NDArray[np.uint8] | NDArray[np.float32]"
"""uint8 [N, H, W, 3] RGB, or normalised float32 [N, 3, H, W]: as `metadata.input.dtype` says."""


class BackendName(str, Enum):
    """The backends, by the names that `--backend` takes."""

    TENSORRT = "tensorrt"
    ONNXRUNTIME_CUDA = "onnxruntime-cuda"
    ONNXRUNTIME_OPENVINO = "onnxruntime-openvino"
    ONNXRUNTIME = "onnxruntime"


Note: TypeAlias = Callable[[str], None]
"""Receives a sentence on what a user should know although nothing failed: while a model is opened, run or closed."""


def ignore(text: str) -> None:
    """The Note of a caller that has been told already."""
    del text


BatchRange: TypeAlias = "tuple[int, int | None]"
"""The fewest and the most images of one run; None: any number. A model is fixed to one number, or dynamic."""

AUTO = "auto"
BACKEND_CHOICES = (AUTO, *(name.value for name in BackendName))


@dataclass(frozen=True)
class SessionOptions:
    """Options of a session. A backend ignores those that do not apply to it."""

    threads: int | None = None
    """CPU threads of one inference; None: one for each physical core that this process may use."""
    device: int = 0
    """Index of the GPU."""
    providers: tuple[str, ...] | None = None
    """ONNX Runtime's execution providers, in order; None: those of the backend."""
    precision: Precision | None = None
    """Lets a backend compute in less than the model's precision (OpenVINO: bfloat16); None: the model's."""
    profile: Path | None = None
    """Where ONNX Runtime writes its profile (prefix of the file's name)."""
    allow_host_code: bool = False
    """Lets TensorRT load an engine that carries executables of the host; see `host_code`."""


@dataclass(frozen=True)
class Outputs:
    """The results of a run, on the host; None for those that the model does not have."""

    labels: NDArray[np.uint8] | None
    """[N, H, W]"""
    logits: NDArray[np.float32] | None
    """[N, C, H, W]"""


@dataclass(frozen=True)
class TimedOutputs:
    """The results of a run and the time from its input being on the device to its output being there."""

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
        """One line to display: runtime, version, provider or GPU, threads."""

    @property
    def batch_range(self) -> BatchRange:
        """The fewest and the most images of one run."""

    def run(self, images: Images) -> Outputs:
        """Uploads images, runs the network and downloads its outputs.

        The results are the caller's: no buffer of the session is among them. Raises InputError for a shape or type that
        the model does not take, ModelError if the run fails.
        """

    def run_timed(self, images: Images) -> TimedOutputs:
        """`run`, timing the device's part alone (CUDA events on a GPU; on the CPU the whole run)."""

    @property
    def gives_low_logits(self) -> bool:
        """Whether `run_low` can run: not with engines that were built without that output."""

    def run_low(self, images: Images) -> LowLogits:
        """The logits at the network's own output size, [N, C, h, w]; see `upsampling`.

        Raises as `run`, and ModelError where `gives_low_logits` is False.
        """

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]:
        """Each image's labels at the size of its placement, uint8 [H, W], computed from the low-resolution logits where
        these are: on the GPU, labels alone are downloaded.

        Raises as `run_low`, and InputError unless there is one placement for each image.
        """

    def close(self) -> None:
        """Frees everything; may be called again."""


def refuse_to_pickle(session: object) -> TypeError:
    """The error of a session that is pickled or copied: it has memory of this process, or of a GPU."""
    name = type(session).__name__
    return TypeError(f"a {name} cannot be pickled or copied; pickle the Segmenter, which opens its model again")


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run on this machine, and the installed or missing parts (one line, with the remedy)."""

    available: bool
    detail: str
    missing: tuple[str, ...] = ()
    """Everything that is missing, one line each with its remedy; empty where the backend can run."""

    @staticmethod
    def lacking(*missing: str) -> Availability:
        return Availability(False, "; ".join(missing), missing)


class Backend(Protocol):
    """A backend module: `backends/onnxruntime.py`, `backends/tensorrt.py`. Importing one is light."""

    def availability(self, name: BackendName) -> Availability:
        """Inspects the installation, without loading a model."""

    def open_session(self, model: Path, name: BackendName, options: SessionOptions, note: Note = ignore) -> Session:
        """Opens a model file. Raises ModelError, MetadataError, LibraryMissingError or BackendUnavailableError."""


def as_backend(module: ModuleType) -> Backend:
    """The module as a Backend: its functions are the protocol's methods."""
    return cast(Backend, module)


Signature = Mapping[str, tuple[str, Sequence[int | str | None]]]
"""Name to ONNX type ("tensor(uint8)") and shape, whose dynamic dimensions are texts or None."""

_OUTPUTS = {
    OutputKind.LABELS: {"labels": "tensor(uint8)"},
    OutputKind.LOGITS: {"logits": "tensor(float)"},
    OutputKind.BOTH: {"labels": "tensor(uint8)", "logits": "tensor(float)"},
}


def check_signature(metadata: Metadata, inputs: Signature, outputs: Signature, source: str) -> None:
    """Raises MetadataError if a graph's inputs or outputs are not those that its metadata declares."""
    wanted_type = "tensor(uint8)" if metadata.input.dtype is InputType.UINT8 else "tensor(float)"
    given = {name: kind for name, (kind, _) in inputs.items()}
    if given != {"image": wanted_type}:
        raise MetadataError(
            f"{source}: its inputs are {given}, its metadata declare image: {wanted_type}; export it again"
        )
    produced = {name: kind for name, (kind, _) in outputs.items()}
    promised = _OUTPUTS[metadata.output]
    if produced != promised:
        raise MetadataError(f"{source}: its outputs are {produced}, its metadata declare {promised}; export it again")
    shape = inputs["image"][1]
    spec = metadata.input
    if len(shape) != 4:
        raise MetadataError(f"{source}: its input has {len(shape)} dimensions, not 4; export it again")
    height, width = (shape[1], shape[2]) if spec.dtype is InputType.UINT8 else (shape[2], shape[3])
    for size, promised_size in ((height, spec.height), (width, spec.width)):
        if isinstance(size, int) and size != promised_size:
            raise MetadataError(
                f"{source}: its input is {height}x{width}, its metadata say {spec.height}x{spec.width}; export it again"
            )


def batch_range(spec: InputSpec, size: int | str | None) -> BatchRange:
    """The range of an ONNX file, from the first dimension of its input."""
    if isinstance(size, int):
        return size, size
    return 1, None if spec.dynamic_batch else 1


def check_images(spec: InputSpec, images: Images, batch: BatchRange) -> None:
    """Raises InputError if the model does not take images of this type, shape or number."""
    uint8 = spec.dtype is InputType.UINT8
    size = images.shape[1:3] if uint8 else images.shape[2:4]
    fits_rank = images.ndim == 4 and images.shape[3 if uint8 else 1] == 3
    if images.dtype != spec.dtype.value or not fits_rank:
        layout = "[N, H, W, 3]" if uint8 else "[N, 3, H, W]"
        raise InputError(f"the model takes {spec.dtype.value} {layout}, not {images.dtype} {list(images.shape)}")
    least, most = batch
    if images.shape[0] < least or (most is not None and images.shape[0] > most):
        number = "one image" if least == 1 else f"{least} images"
        raise InputError(f"the model takes {number} at a time, not {images.shape[0]}; export it with --dynamic")
    if spec.dynamic_size:
        if size[0] % spec.multiple or size[1] % spec.multiple or 0 in size:
            raise InputError(
                f"the model takes heights and widths that are multiples of {spec.multiple}, not {size[0]}x{size[1]}"
            )
    elif size != (spec.height, spec.width):
        raise InputError(f"the model takes {spec.height}x{spec.width} images, not {size[0]}x{size[1]}")

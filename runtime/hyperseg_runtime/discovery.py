"""Default model of a command when none is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime import libraries
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.backends.selection import ENGINE_SUFFIX, availability, backend
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.libraries import Library

PACKAGED_MODELS = Path(__file__).parent / "models"
PORTABLE_SUFFIX = ".portable.onnx"
"""NAME.portable.onnx is the network of NAME.onnx in standard operators; it loads the weights from that file."""


@dataclass(frozen=True)
class FoundModel:
    """A model and the reason for its choice."""

    path: Path
    reason: str


def find_model(folder: Path | None = None, packaged: Path = PACKAGED_MODELS) -> FoundModel:
    """The single model of `folder` (default: the working folder) that this machine can run: an engine before an ONNX
    file, else the model that ships with the package. Several candidates are a ModelError that names them."""
    place = folder if folder is not None else Path()
    for kind, found in (("engine", runnable_engines(place)), ("model", onnx_models(place))):
        if found:
            return FoundModel(_single(found, place), f"the only {kind} in {place.resolve()}")
    shipped = _for_this_installation(onnx_models(packaged))
    if not shipped:
        raise ModelError(f"there is no model in {place.resolve()} and none ships with this package; use --model FILE")
    return FoundModel(_single(shipped, packaged), f"ships with the package; {place.resolve()} has no model")


def onnx_models(folder: Path) -> list[Path]:
    """The ONNX files of `folder` that carry our metadata."""
    runner = backend(BackendName.ONNXRUNTIME)
    return [path for path in sorted(folder.glob("*.onnx")) if runner.fits(path)]


def runnable_engines(folder: Path) -> list[Path]:
    """The engines of `folder` that this machine can run, by their sidecars."""
    engines = sorted(folder.glob(f"*{ENGINE_SUFFIX}"))
    if not engines or not availability(BackendName.TENSORRT).available:
        return []
    runner = backend(BackendName.TENSORRT)
    return [path for path in engines if runner.fits(path)]


def _for_this_installation(shipped: list[Path]) -> list[Path]:
    """The models with our operators if these are built, else the portable ones."""
    built = libraries.find(Library.ONNXRUNTIME) is not None
    return [path for path in shipped if path.name.endswith(PORTABLE_SUFFIX) is not built]


def _single(found: list[Path], place: Path) -> Path:
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelError(f"several models in {place.resolve()}: {names}; choose one with --model FILE")
    return found[0]

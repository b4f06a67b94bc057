"""Backends of ONNX Runtime: the CPU with our operators, CUDA, and OpenVINO's execution provider plugin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperseg_runtime import machine
from hyperseg_runtime.backends import cuda, device_labels, openvino, placement
from hyperseg_runtime.backends.frame_labels import no_frame_labels
from hyperseg_runtime.backends.onnxruntime_labels import BoundLabels
from hyperseg_runtime.backends.onnxruntime_model import CUDA_PROVIDER, LoadedModel, load, package, session_options
from hyperseg_runtime.backends.onnxruntime_session import DISTRIBUTIONS, OnnxRuntimeSession
from hyperseg_runtime.backends.protocol import (
    Availability,
    BackendName,
    Images,
    Note,
    SessionOptions,
    check_signature,
    ignore,
)
from hyperseg_runtime.errors import BackendUnavailableError, ModelError
from hyperseg_runtime.graph_target import GraphTarget, read_target
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import InputType, Metadata
from hyperseg_runtime.onnx_file import GraphNode

if TYPE_CHECKING:
    import onnxruntime


def availability(name: BackendName) -> Availability:
    """Checks the installation for the CPU, CUDA or OpenVINO."""
    installed = [package for package in DISTRIBUTIONS if machine.version(package)]
    if not installed:
        return Availability.lacking("onnxruntime is not installed; pip install onnxruntime")
    if len(installed) > 1:
        return Availability.lacking(_mixed_wheels())
    label = f"{installed[0]} {machine.version(installed[0])}"
    if name is BackendName.ONNXRUNTIME_OPENVINO:
        return openvino.availability()
    if name is BackendName.ONNXRUNTIME_CUDA:
        return _cuda_availability(label)
    if find(Library.ONNXRUNTIME) is None:
        return Availability(
            True, f"{label}, without our operators ({Library.ONNXRUNTIME.value} is not built): portable models only"
        )
    return Availability(True, f"{label} with our operators")


def _mixed_wheels() -> str:
    return (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; "
        "pip uninstall both, then install one"
    )


def _cuda_availability(label: str) -> Availability:
    import onnxruntime

    missing = []
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        missing.append(f"{label} has no CUDA provider; pip uninstall onnxruntime, pip install onnxruntime-gpu")
    driver = cuda.find_gpus()
    if driver.problem is not None:
        missing.append(driver.problem)
    if missing:
        return Availability.lacking(*missing)
    return Availability(True, f"{label} on {', '.join(gpu.name for gpu in driver.gpus)}")


def open_session(model: Path, name: BackendName, options: SessionOptions, note: Note = ignore) -> OnnxRuntimeSession:
    """Opens an ONNX file for the CPU, CUDA or OpenVINO; see Backend.open_session.

    `note` receives a sentence where the file's graph gives no labels at the sizes of frames (`graph_end`), and where
    the CPU computes them for CUDA.

    On CUDA the placement of the nodes is checked: ModelError for a file with operators that only the CPU has,
    BackendUnavailableError where our library has no CUDA kernels, a `note` where standard operators run on the CPU.
    """
    if all(machine.version(package) for package in DISTRIBUTIONS):
        raise BackendUnavailableError(_mixed_wheels())
    if not model.is_file():
        raise ModelError(f"{model} is not a file; name an ONNX file (--model FILE)")
    settings = session_options(options)
    if name is not BackendName.ONNXRUNTIME_CUDA:
        return _opened(load(model, name, options, settings), model, name, options, note)
    if options.providers is not None:  # the caller's own choice, which is not judged
        return _opened(_load_on_cuda(model, options, settings, None), model, name, options, note)
    file = read_target(model)
    if file.cuda_refusal is not None:
        raise ModelError(file.cuda_refusal)
    with placement.watched(settings, package().InferenceSession) as read:
        loaded = _load_on_cuda(model, options, settings, file.nodes)
        opened = _opened(loaded, model, name, options, note)
        try:
            placed = read(loaded.session, lambda: opened.run(_blank(opened)))
        except placement.PlacementError as error:
            note(f"{model}: whether ONNX Runtime runs all of it on CUDA is not known ({error})")
        else:
            _check_placement(file, placed, note)
    return opened


def _load_on_cuda(
    model: Path, options: SessionOptions, settings: onnxruntime.SessionOptions, nodes: Sequence[GraphNode] | None
) -> LoadedModel:
    loaded = load(model, BackendName.ONNXRUNTIME_CUDA, options, settings, nodes)
    if CUDA_PROVIDER not in loaded.session.get_providers():
        raise BackendUnavailableError(
            "ONNX Runtime could not start its CUDA provider (see hyperseg-doctor); use --backend onnxruntime"
        )
    return loaded


def _check_placement(file: GraphTarget, placed: list[placement.PlacedNode], note: Note) -> None:
    found = placement.Placement.of(placed, file.nodes, file.own, CUDA_PROVIDER)
    if (refusal := found.refusal(file.model)) is not None:
        raise BackendUnavailableError(refusal)
    if (text := found.note(file.model)) is not None:
        note(text)


def _blank(session: OnnxRuntimeSession) -> Images:
    """Black images, as few as the model takes."""
    spec, count = session.metadata.input, session.batch_range[0]
    if spec.dtype is InputType.UINT8:
        return np.zeros((count, spec.height, spec.width, 3), np.uint8)
    return np.zeros((count, 3, spec.height, spec.width), np.float32)


def _opened(
    loaded: LoadedModel, model: Path, name: BackendName, options: SessionOptions, note: Note
) -> OnnxRuntimeSession:
    """The session with the file's metadata, which its inputs and outputs have to fit."""
    session = loaded.session
    metadata = Metadata.from_properties(session.get_modelmeta().custom_metadata_map, str(model))
    check_signature(
        metadata,
        {node.name: (node.type, node.shape) for node in session.get_inputs()},
        {node.name: (node.type, node.shape) for node in session.get_outputs() if node.name != loaded.added},
        str(model),
    )
    low_logits, without = loaded.low_logits, loaded.without
    channels = next((node.shape[1] for node in session.get_outputs() if node.name == low_logits), None)
    if isinstance(channels, int) and channels != metadata.num_classes:
        low_logits, without = None, f"what it enlarges has {channels} channels, not {metadata.num_classes}"
    if low_logits is None:
        note(no_frame_labels(model, f"{without}; export it with hyperseg-export"))
    on_cuda = low_logits is not None and CUDA_PROVIDER in session.get_providers()
    bound = _bound_labels(model, options.device, note) if on_cuda else None
    return OnnxRuntimeSession(session, metadata, name, options, low_logits, bound, note)


def _bound_labels(model: Path, device: int, note: Note) -> BoundLabels | None:
    found = device_labels.find_kernels()
    try:
        driver = cuda.load_driver()
    except OSError as error:  # where a caller's own providers run elsewhere
        found = str(error)
    if isinstance(found, str):
        note(device_labels.on_the_cpu(model, found))
        return None
    return BoundLabels(found, driver, device)

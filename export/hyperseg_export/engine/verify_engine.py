"""Verifies an engine on this machine's GPU against ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
from hyperseg_runtime.backends.protocol import Images, Outputs, Session, SessionOptions
from hyperseg_runtime.backends.tensorrt_session import TensorRTSession
from hyperseg_runtime.metadata import InputSpec, InputType, Metadata, Precision

from hyperseg_export.engine.options import BuildTarget, EngineOptions
from hyperseg_export.engine.report import Execution
from hyperseg_export.errors import EngineError
from hyperseg_export.progress import Part
from hyperseg_export.reference import LabelCheck

INPUTS = 4
"""Images that an engine is compared on."""


@dataclass(frozen=True)
class EngineVerification:
    """The outcome of a verification."""

    layers: str | None
    """The engine inspector's list, as JSON; None where the engine was not deserialised."""
    execution: Execution | None
    not_executed: str | None


def verify_engine(
    model: onnx.ModelProto,
    metadata: Metadata,
    engine: Path,
    plan: bytes,
    plugin_library: Path | None,
    target: BuildTarget,
    options: EngineOptions,
    progress: Part | None = None,
) -> EngineVerification:
    """Runs the plan on a few inputs if this machine has the GPU that it was built for; `progress` receives each.

    `engine` is the name for messages; `plan` is what TensorRT just built, and needs no signature yet.

    Raises EngineError where it disagrees with ONNX Runtime.
    """
    if not options.verify:
        return EngineVerification(None, None, "switched off")
    if target.gpu is None:
        return EngineVerification(None, None, "there is no GPU here that the engine was built for")
    try:
        cuda = import_module("pycuda.driver")
    except ModuleNotFoundError:
        return EngineVerification(None, None, f"pycuda is not installed; {target.tensorrt.flavour.extra}")
    except (ImportError, OSError) as error:  # it was built against another CUDA
        return EngineVerification(None, None, f"pycuda cannot be loaded ({error}); reinstall it on this machine")
    precision = Precision.FLOAT16 if options.half else metadata.precision
    session = TensorRTSession(
        engine,
        replace(metadata, precision=precision),
        plan,
        gpu=target.gpu.name,
        tensorrt=target.tensorrt,
        cuda=cuda,
        plugin_library=plugin_library,
        options=SessionOptions(allow_host_code=options.allow_host_code),
    )
    try:
        # By default TensorRT multiplies float32 as TF32, whose factors have 11 bits, like float16's.
        execution = compare(model, metadata.input, session, Precision.FLOAT16, progress)
        return EngineVerification(session.layers(), execution, None)
    finally:
        session.close()


def compare(
    model: onnx.ModelProto, spec: InputSpec, session: Session, precision: Precision, progress: Part | None = None
) -> Execution:
    """Compares the session with ONNX Runtime on the original model. Raises EngineError where rounding, in the precision
    that the engine computes in, does not explain the difference."""
    check = LabelCheck(model, precision)
    found = []
    for number, images in enumerate(_images(spec), 1):
        if progress is not None:
            progress(number, INPUTS)
        comparison = check.compare(images, _labels(session.run(images)))
        if not comparison.explained:
            raise EngineError(
                f"the engine disagrees with ONNX Runtime and was discarded: {comparison}; build without --fp16, or "
                "keep more in float32 (--keep-fp32)"
            )
        found.append(comparison)
    return Execution(len(found), min(one.equal for one in found), max(one.turned_by_rounding for one in found))


def _labels(outputs: Outputs) -> np.ndarray[tuple[int, ...], np.dtype[np.integer]]:
    if outputs.labels is not None:
        return outputs.labels
    if outputs.logits is None:
        raise EngineError("the model outputs neither labels nor logits")
    return np.asarray(outputs.logits.argmax(axis=1))


def _images(spec: InputSpec) -> list[Images]:
    """Smooth images, since on noise the labels of all classes are nearly equal everywhere."""
    random = np.random.default_rng(0)
    return [_image(spec, random) for _ in range(INPUTS)]


def _image(spec: InputSpec, random: np.random.Generator) -> Images:
    import cv2

    coarse = random.integers(0, 256, (spec.height // 32 + 1, spec.width // 32 + 1, 3), np.uint8)
    image = cv2.resize(coarse, (spec.width, spec.height), interpolation=cv2.INTER_CUBIC)
    if spec.dtype is InputType.UINT8:
        return np.asarray(image[None], np.uint8)
    normal = (image / 255.0 - spec.mean) / spec.std
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)

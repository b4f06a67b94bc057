"""Verifies an engine on this machine's GPU against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import prod
from pathlib import Path

import numpy as np
import onnx
from hyperseg_runtime.backends.protocol import Images, Session, SessionOptions
from hyperseg_runtime.backends.tensorrt_engine import Shape
from hyperseg_runtime.backends.tensorrt_session import TensorRTSession
from hyperseg_runtime.metadata import InputSpec, InputType, Metadata, Precision
from hyperseg_runtime.preprocess import batch_labels
from numpy.typing import NDArray

from hyperseg_export.engine.options import BuildTarget, EngineOptions
from hyperseg_export.engine.report import Execution
from hyperseg_export.errors import EngineError
from hyperseg_export.progress import Part
from hyperseg_export.reference import LabelCheck

INPUTS = 4
"""Runs that an engine is compared on."""
_MOST_TIMES = 16
"""A profile's end is tried up to so many times the pixels of its best shape: ONNX Runtime computes it on the CPU."""
_FIRST_WITH_TF32 = 8


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
    low_logits: bool = False,
    progress: Part | None = None,
) -> EngineVerification:
    """Runs the plan on a few inputs if this machine has the GPU that it was built for; `progress` receives each.

    low_logits: whether LOW_LOGITS is among its outputs, which is compared too.

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
    precision = options.precision(metadata)
    session = TensorRTSession(
        engine,
        replace(metadata, precision=precision),
        plan,
        gpu=target.gpu.name,
        tensorrt=target.tensorrt,
        cuda=cuda,
        plugin_library=plugin_library,
        options=SessionOptions(allow_host_code=options.allow_host_code),
        low_logits=low_logits,
    )
    try:
        computed = arithmetic(precision, target.gpu.compute_capability, options.tf32)
        shapes = trial_shapes(*session.input_shapes)
        execution = compare(model, metadata.input, session, computed, shapes, progress)
        return EngineVerification(session.layers(), execution, None)
    finally:
        session.close()


def arithmetic(precision: Precision, compute_capability: str, tf32: bool) -> Precision:
    """The precision that an engine of a network in `precision` multiplies in.

    BuilderFlag::kTF32, which is set by default, rounds the factors of float32 layers to 10 bits of mantissa
    (NvInfer.h): as many as float16 has. GPUs have TF32 from compute capability 8.0 on (CUDA C++ Programming Guide,
    "Compute Capabilities").
    """
    if (
        precision is Precision.FLOAT32
        and tf32
        and int(compute_capability.split(".", maxsplit=1)[0]) >= _FIRST_WITH_TF32
    ):
        return Precision.FLOAT16
    return precision


def trial_shapes(least: Shape, best: Shape, most: Shape) -> tuple[Shape, ...]:
    """The shape of each run of the comparison, from an engine's profile: the best, then the least and the most unless
    that would take too long."""
    ends = [end for end in (least, most) if end != best and prod(end) <= _MOST_TIMES * prod(best)]
    return (best,) * (INPUTS - len(ends)) + tuple(ends)


def compare(
    model: onnx.ModelProto,
    spec: InputSpec,
    session: Session,
    precision: Precision,
    shapes: Sequence[Shape],
    progress: Part | None = None,
) -> Execution:
    """Compares the session with ONNX Runtime on the original model, once for each of the shapes.

    Raises EngineError where rounding, in the precision that the engine computes in, does not explain the difference.
    """
    check = LabelCheck(model, precision)
    random = np.random.default_rng(0)
    found = []
    for number, shape in enumerate(shapes, 1):
        if progress is not None:
            progress(number, len(shapes))
        images = _images(spec, shape, random)
        comparison = check.compare(images, batch_labels(session.run(images)))
        if not comparison.explained:
            raise EngineError(
                f"the engine disagrees with ONNX Runtime on an input of {list(shape)} and was discarded: {comparison}; "
                "build without --fp16, or keep more in float32 (--keep-fp32)"
            )
        if session.gives_low_logits and number == 1 and not check.explains(images, session.run_low(images)):
            raise EngineError(
                f"the engine's logits disagree with ONNX Runtime on an input of {list(shape)}, by more than rounding "
                "explains, and it was discarded; build without --fp16, or keep more in float32 (--keep-fp32)"
            )
        found.append(comparison)
    return Execution(len(found), min(one.equal for one in found), max(one.turned_by_rounding for one in found))


def _images(spec: InputSpec, shape: Shape, random: np.random.Generator) -> Images:
    """Smooth images, since on noise the labels of all classes are nearly equal everywhere."""
    uint8 = spec.dtype is InputType.UINT8
    height, width = shape[1:3] if uint8 else shape[2:]
    images = np.stack([_image(height, width, random) for _ in range(shape[0])])
    if uint8:
        return images
    normal = (images / 255.0 - spec.mean) / spec.std
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2), np.float32)


def _image(height: int, width: int, random: np.random.Generator) -> NDArray[np.uint8]:
    import cv2

    coarse = random.integers(0, 256, (height // 32 + 1, width // 32 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)

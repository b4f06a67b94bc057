"""Runs an exported file on the device that it is for, where this machine has it, besides the comparison on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from hyperseg_runtime.backends import onnxruntime, selection
from hyperseg_runtime.backends.protocol import BackendName, Images, Note, SessionOptions, ignore
from hyperseg_runtime.errors import BackendUnavailableError
from hyperseg_runtime.metadata import Precision, Target
from hyperseg_runtime.preprocess import batch_labels

from hyperseg_export.errors import DisagreementError
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.reference import LabelCheck
from hyperseg_export.verification import image_batches, network_inputs


def verify_on_device(
    path: Path,
    model: onnx.ModelProto,
    config: Any,
    options: ExportOptions,
    resolution: Resolution,
    note: Note | None = None,
) -> str | None:
    """Compares a file for CUDA, in ONNX Runtime's CUDA provider, with the CPU provider; `note` receives where that
    places operators on the CPU.

    Returns the reason why the device was not run, or None: it was, or the target is no device of its own. Raises
    DisagreementError where rounding does not explain the difference.
    """
    if options.target is Target.TENSORRT:
        return "TensorRT was not run; hyperseg-build-engine compares its engines on a GPU"
    if options.target is not Target.CUDA:
        return None
    found = selection.availability(BackendName.ONNXRUNTIME_CUDA)
    if not found.available:
        return f"CUDA was not run: {found.detail}"
    feeds = (
        network_inputs(batch, config, options.input_type)[0] for batch in image_batches(options, resolution, config)
    )
    try:
        _compare(path, model, feeds, note or ignore)
    except BackendUnavailableError as error:
        return f"CUDA was not run: {error}"
    return None


def _compare(path: Path, model: onnx.ModelProto, feeds: Iterator[Images], note: Note) -> None:
    session = onnxruntime.open_session(path, BackendName.ONNXRUNTIME_CUDA, SessionOptions(), note)
    try:
        # TF32 is the provider's default (use_tf32): factors of 11 bits, as float16's.
        check = LabelCheck(model, Precision.FLOAT16)
        for images in feeds:
            comparison = check.compare(images, batch_labels(session.run(images)))
            if not comparison.explained:
                raise DisagreementError(
                    f"the exported file disagrees with itself on CUDA ({comparison}); the file was discarded "
                    "(--no-verify keeps it)"
                )
    finally:
        session.close()

"""Quantises the encoder to int8 with ONNX Runtime's static quantisation (QDQ), calibrated on images."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx_ir as ir
from hyperseg_runtime.media import IMAGE_SUFFIXES
from hyperseg_runtime.metadata import InputType
from numpy.typing import NDArray
from onnx_ir.passes import common
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from hyperseg_export.errors import ExportError
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.passes.standard_operators import to_standard_operators
from hyperseg_export.progress import Part
from hyperseg_export.tracing import INPUT_NAME

_OPERATORS = ["Conv", "Sigmoid", "Mul", "Add"]
_ENCODER = "backbone."
_IMAGES = 64


def quantise(
    model: onnx.ModelProto,
    config: Any,
    options: ExportOptions,
    resolution: Resolution,
    images: list[Path],
    progress: Part,
) -> onnx.ModelProto:
    """Quantises the model's encoder, with value ranges from the images; `progress` receives each image that is run.

    Raises ExportError for an image that cannot be read.
    """
    # ONNX Runtime's calibrator cannot load our operators; the standard ones keep the encoder's names.
    twin = ir.from_proto(model)
    to_standard_operators(twin)
    encoder = [node.name for node in model.graph.node if node.name.startswith(_ENCODER) and node.op_type in _OPERATORS]
    with tempfile.TemporaryDirectory() as temporary, _quiet():
        path = Path(temporary) / "twin.onnx"
        onnx.save_model(ir.to_proto(twin), path)
        calibrator = create_calibrator(
            path,
            _OPERATORS,
            augmented_model_path=str(path.with_name("calibration.onnx")),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(images, config, options, resolution, progress))
        ranges = calibrator.compute_data()
        quantiser = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=True,  # seven bits: processors without VNNI overflow on eight
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=encoder,
            nodes_to_exclude=[],
            op_types_to_quantize=_OPERATORS,
            extra_options={},
        )
        quantiser.quantize_model()
    result = ir.from_proto(quantiser.model.model)
    common.TopologicalSortPass()(result)  # ONNX Runtime's quantiser appends its nodes at the end
    sorted_model: onnx.ModelProto = ir.to_proto(result)
    return sorted_model


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the calibrator image by image."""

    def __init__(
        self, images: list[Path], config: Any, options: ExportOptions, resolution: Resolution, progress: Part
    ) -> None:
        self._feeds = _feeds(images, config, options, resolution, progress)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._feeds, None)


def _feeds(
    paths: list[Path], config: Any, options: ExportOptions, resolution: Resolution, progress: Part
) -> Iterator[dict[str, NDArray[Any]]]:
    for number, path in enumerate(paths, 1):
        progress(number, len(paths))
        frame = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if frame is None:
            raise ExportError(f"{path} is not an image that OpenCV reads; remove it from the folder (--calibrate)")
        resized = cv2.resize(frame, (resolution.width, resolution.height), interpolation=cv2.INTER_AREA)
        images = np.repeat(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)[None], options.batch, axis=0)
        if options.input_type is InputType.FLOAT:
            normalised = (images / 255.0 - np.array(config.mean)) / np.array(config.std)
            images = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), dtype=np.float32)
        yield {INPUT_NAME: images}


def calibration_images(folder: Path) -> list[Path]:
    """Up to 64 images, spread over the folder. Raises ExportError if there are none."""
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a folder; name one with images (--calibrate DIR)")
    files = (path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())  # ._a.jpg: macOS
    found = sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ExportError(
            f"{folder} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}); name another (--calibrate DIR)"
        )
    return found[:: max(1, len(found) // _IMAGES)][:_IMAGES]


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser writes advice for its own developers into the root log."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)

"""Runs an exported file in ONNX Runtime beside the PyTorch network, on pictures, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hyperseg_runtime.metadata import InputType, Verification
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg_export.agreement import CHECKED, Agreement
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.pictures import test_pictures
from hyperseg_export.rounding import disturbed
from hyperseg_export.tracing import OUTPUT_NAMES
from hyperseg_export.visible_file import Maps, VisibleFile

_LABELS, _LOGITS = "labels", "logits"


def verify(
    path: Path, network: Any, options: ExportOptions, resolution: Resolution, progress: Callable[[str], None]
) -> Verification:
    """Compares the file with the network. Raises DisagreementError where they differ by more than rounding explains.

    The maps between encoder, context head and decoder are made outputs of the file. Decoder and end are then compared
    on the file's own maps: a network may amplify the encoder's rounding a thousandfold, behind which an error in one
    weight of the decoder would hide. A dynamic file is also run at a second size.
    """
    agreement = Agreement(options.precision)
    checked = options.precision in CHECKED
    file = VisibleFile(path, OUTPUT_NAMES[options.output], checked, progress)
    twin = disturbed(network, options.precision) if checked else None
    for images in _batches(options, resolution, network.config.unit):
        progress(f"comparing with PyTorch at {images.shape[1]}x{images.shape[2]}")
        feed, normalised = _inputs(images, network.config, options.input_type)
        outputs = file.run(feed)
        with torch.no_grad():
            expected = _run(network, normalised)
            other = expected if twin is None else _run(twin, normalised)
            if twin is not None:
                found = file.maps(outputs, normalised)
                _compare_parts(agreement, found, expected, other)
                arguments = found.image, found.features, found.signal
                agreement.compare("decoder", found.low, network.decoder(*arguments), twin.decoder(*arguments))
                logits = torch.from_numpy(outputs[_LOGITS]) if _LOGITS in outputs else None
                agreement.compare_end(outputs.get(_LABELS), logits, _enlarged(network, found.low))
            bound = agreement.compare_logits(file.low(outputs), expected.low, other.low)
            labels = outputs[_LABELS] if _LABELS in outputs else outputs[_LOGITS].argmax(axis=1)
            agreement.compare_labels(labels, _enlarged(network, expected.low), bound.largest)
    agreement.check()
    return agreement.result()


def _compare_parts(agreement: Agreement, found: Maps, expected: Maps, other: Maps) -> None:
    """Encoder and context head."""
    for number, maps in enumerate(zip(found.features, expected.features, other.features, strict=True), 1):
        agreement.compare(f"feature map F{number}", *maps)
    used = found.signal.shape[1]  # channels that no level reads were left out
    agreement.compare("signal", found.signal, expected.signal[:, :used], other.signal[:, :used])


def _run(network: Any, image: Tensor) -> Maps:
    features, last = network.backbone(image)
    signal = network.context_head(last)
    return Maps(image, features, signal, network.decoder(image, features, signal))


def _enlarged(network: Any, low: Tensor) -> Tensor:
    """To the size of the pictures."""
    stride = float(network.config.output_stride)
    return low if stride == 1 else F.interpolate(low, scale_factor=stride, mode="bilinear")


def _batches(options: ExportOptions, resolution: Resolution, unit: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures uint8 [N, H, W, 3]."""
    pictures = test_pictures(resolution.height, resolution.width)
    for start in range(0, len(pictures), options.batch):
        yield np.stack([pictures[(start + index) % len(pictures)] for index in range(options.batch)])
    if options.dynamic:
        yield np.stack(test_pictures(2 * unit, 3 * unit, seed=1))


def _inputs(images: NDArray[np.uint8], config: Any, kind: InputType) -> tuple[NDArray[Any], Tensor]:
    """What the file takes, and what the network takes."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    normalised = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0 - mean) / std
    return (images if kind is InputType.UINT8 else normalised.contiguous().numpy()), normalised

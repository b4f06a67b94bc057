"""Runs an exported file in ONNX Runtime beside the PyTorch network, on pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import InputType, OutputKind, Verification
from numpy.typing import NDArray
from torch.nn import functional as F

from hyperseg_export.agreement import Agreement
from hyperseg_export.errors import ExportError
from hyperseg_export.lowering import lower
from hyperseg_export.operators import DOMAIN
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.pictures import test_pictures
from hyperseg_export.rounding import Rounding, measure_rounding
from hyperseg_export.tracing import INPUT_NAME

_END = {"ArgMax", "Cast", "Resize", "UpsampleArgmax"}
"""Between the network's last logits and the labels."""


def verify(
    path: Path, network: Any, options: ExportOptions, resolution: Resolution, progress: Callable[[str], None]
) -> Verification:
    """Compares the file with the network. Raises DisagreementError where they differ by more than the precision allows.

    A file that puts out labels alone is run a second time with its last logits made visible, so that their error is
    measured too. A dynamic file is also run at a second size.
    """
    agreement = Agreement(options.precision)
    session, names = _open(path, options.output, progress)
    for images in _batches(options, resolution, network.config.unit):
        progress(f"comparing with PyTorch at {images.shape[1]}x{images.shape[2]}")
        feed, normalised = _inputs(images, network.config, options.input_type)
        outputs = dict(zip(names, session.run(names, {INPUT_NAME: feed}), strict=True))
        low, full = _expected(network, normalised)

        def rounding(normalised: torch.Tensor = normalised, low: torch.Tensor = low) -> Rounding:
            progress("measuring what rounding does to this network")
            return measure_rounding(network, normalised, low)

        expected = low if options.output is OutputKind.LABELS else full
        logits = outputs[names[-1]].astype(np.float32)
        agreement.add(expected.numpy(), logits, full.numpy(), outputs.get("labels"), rounding)
    agreement.check()
    return agreement.result()


def _expected(network: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's logits at its finest level, and at the images' size."""
    with torch.no_grad():
        low = network.forward_low(images)
        stride = float(network.config.output_stride)
        return low, low if stride == 1 else F.interpolate(low, scale_factor=stride, mode="bilinear")


def _batches(options: ExportOptions, resolution: Resolution, unit: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures uint8 [N, H, W, 3]."""
    pictures = test_pictures(resolution.height, resolution.width)
    for start in range(0, len(pictures), options.batch):
        yield np.stack([pictures[(start + index) % len(pictures)] for index in range(options.batch)])
    if options.dynamic:
        yield np.stack(test_pictures(2 * unit, 3 * unit, seed=1))


def _inputs(images: NDArray[np.uint8], config: Any, kind: InputType) -> tuple[NDArray[Any], torch.Tensor]:
    """What the file takes, and what the network takes."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    normalised = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0 - mean) / std
    return (images if kind is InputType.UINT8 else normalised.contiguous().numpy()), normalised


def _open(
    path: Path, output: OutputKind, progress: Callable[[str], None]
) -> tuple[onnxruntime.InferenceSession, list[str]]:
    """A session of the file, and the names of the outputs to compare."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    # Untrained networks fade out into denormal numbers, which processors handle a hundred times slower.
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it alternates with PyTorch's threads
    model = onnx.load(path)
    if any(node.domain == DOMAIN for node in model.graph.node):
        library = find(Library.ONNXRUNTIME)
        if library is None:
            progress(f"{Library.ONNXRUNTIME.value} is not built: comparing with our operators in standard ones")
            model = _lowered(model)
        else:
            settings.register_custom_ops_library(str(library))
    names = [value.name for value in model.graph.output]
    if output is OutputKind.LABELS:
        names.append(_expose_logits(model.graph))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise ExportError(f"ONNX Runtime does not take the exported file: {' '.join(str(error).split())}") from error
    return session, names


def _lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = ir.from_proto(model)
    lower(graph)
    return ir.to_proto(graph)


def _expose_logits(graph: onnx.GraphProto) -> str:
    """Makes the logits that the labels come from an output of the graph; returns their name."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers[graph.output[0].name]
    while (before := producers[node.input[0]]).op_type in _END:
        node = before
    name: str = node.input[0]
    known = {value.name: value for value in graph.value_info}
    graph.output.append(known[name] if name in known else onnx.ValueInfoProto(name=name))
    return name

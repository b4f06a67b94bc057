"""From a network to an ONNX graph, by PyTorch's exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from hyperseg_runtime.metadata import InputType, OutputKind, Precision

from hyperseg_export.deployment import Deployment
from hyperseg_export.errors import ExportError
from hyperseg_export.operators.translation import translation_table
from hyperseg_export.options import ExportOptions, Resolution

OUTPUT_NAMES = {
    OutputKind.LABELS: ["labels"],
    OutputKind.LOGITS: ["logits"],
    OutputKind.BOTH: ["labels", "logits"],
}
INPUT_NAME = "image"


def trace(network: Any, options: ExportOptions, resolution: Resolution) -> ir.Model:
    """The graph of a folded network with everything around it, in the operators of the domain `hyperseg`."""
    half = options.precision is Precision.FLOAT16
    dtype = torch.float16 if half else torch.float32
    deployment = Deployment(network.to(dtype), options.input_type, options.output, dtype).eval()
    arguments: dict[str, Any] = {}
    batch = options.batch
    if options.dynamic:
        # PyTorch takes a size of one for a constant, so neither the traced batch nor the grid may be one.
        unit = network.config.unit
        batch, resolution = 2, Resolution(2 * unit, 3 * unit)
        arguments["dynamic_shapes"] = {"image": _open_axes(unit, options.input_type)}
    image = _example(options.input_type, batch, resolution)
    with torch.no_grad(), _quiet():
        try:
            program = torch.onnx.export(
                deployment,
                (image,),
                opset_version=options.opset,
                input_names=[INPUT_NAME],
                output_names=OUTPUT_NAMES[options.output],
                custom_translation_table=translation_table(),
                verbose=False,
                **arguments,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"PyTorch could not export this network: {_first_line(error)}") from error
    if program is None:
        raise ExportError("PyTorch's exporter returned no graph")
    return program.model


def _example(kind: InputType, batch: int, resolution: Resolution) -> torch.Tensor:
    height, width = resolution.height, resolution.width
    if kind is InputType.UINT8:
        return torch.zeros(batch, height, width, 3, dtype=torch.uint8)
    return torch.zeros(batch, 3, height, width)


def _open_axes(unit: int, kind: InputType) -> dict[int, Any]:
    batch, rows, columns = (torch.export.Dim(name) for name in ("batch", "rows", "columns"))
    first = 1 if kind is InputType.UINT8 else 2
    return {0: batch, first: unit * rows, first + 1: unit * columns}


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporter talks about itself; errors still come as exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n", 1)[0]

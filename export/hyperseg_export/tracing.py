"""Traces a network to an ONNX graph from image to labels, with PyTorch's exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from hyperseg_runtime.metadata import InputType, OutputKind, Precision
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg_export.errors import ExportError
from hyperseg_export.operators.translation import translation_table
from hyperseg_export.options import ExportOptions, Resolution


class Deployment(nn.Module):
    """Normalisation, network, upsampling and arg max as one module for the export.

    Input: uint8 RGB [N, H, W, 3], or normalised float32 [N, 3, H, W]. Output: labels uint8 [N, H, W], logits float32
    [N, C, H, W], or both, whatever the type that the network computes in.

    Args:
        network: has `forward_low` and `config`, as the models of `hyperseg` have.
        fused_end: upsampling and arg max as our one operator, which never makes logits of full size.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: Any,
        input_type: InputType = InputType.UINT8,
        output: OutputKind = OutputKind.LABELS,
        dtype: torch.dtype = torch.float32,
        fused_end: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self._input_type = input_type
        self._output = output
        self._dtype = dtype
        self._fused_end = fused_end
        self._stride = int(network.config.output_stride)
        scale = [1.0 / (255.0 * std) for std in network.config.std]
        shift = [-mean / std for mean, std in zip(network.config.mean, network.config.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        low = self.network.forward_low(self._normalised(image).to(self._dtype))
        if self._output is OutputKind.LABELS:
            return self._labels(low)
        logits = self._upsampled(low.float())
        return logits if self._output is OutputKind.LOGITS else (self._labels(low), logits)

    def _normalised(self, image: Tensor) -> Tensor:
        if self._input_type is InputType.FLOAT:
            return image
        return image.permute(0, 3, 1, 2).float() * self.scale + self.shift

    def _labels(self, low: Tensor) -> Tensor:
        if self._fused_end:
            labels: Tensor = torch.ops.hyperseg.upsample_argmax(low, self._stride)
        else:
            labels = self._upsampled(low).argmax(dim=1)
        return labels.to(torch.uint8)

    def _upsampled(self, low: Tensor) -> Tensor:
        if self._stride == 1:
            return low
        return F.interpolate(low, scale_factor=float(self._stride), mode="bilinear", align_corners=False)


OUTPUT_NAMES = {
    OutputKind.LABELS: ["labels"],
    OutputKind.LOGITS: ["logits"],
    OutputKind.BOTH: ["labels", "logits"],
}
INPUT_NAME = "image"


def trace(network: Any, options: ExportOptions, resolution: Resolution) -> ir.Model:
    """The graph of a folded network from image to labels, in the operators of the domain `hyperseg`."""
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
    """Suppresses the messages of PyTorch's exporter; errors are still raised as exceptions."""
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

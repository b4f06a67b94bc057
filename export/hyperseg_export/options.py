"""Export options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime.metadata import InputType, OutputKind, Precision, Target

from hyperseg_export.errors import OptionError

DEFAULT_OPSET = 18
"""Native to PyTorch's exporter, and known to every ONNX Runtime, OpenVINO and TensorRT that the project supports."""

_OPSETS = range(18, 24)
LARGEST_SIDE = 1 << 15
"""Pixels."""


@dataclass(frozen=True)
class Resolution:
    """Height and width in pixels."""

    height: int
    width: int

    @staticmethod
    def parse(text: str) -> Resolution:
        """From "512x1024", height first. Raises OptionError."""
        match = re.fullmatch(r"\s*(\d{1,9})\s*[xX]\s*(\d{1,9})\s*", text)
        if match is None:
            raise OptionError(f"resolution {text!r} is not HEIGHTxWIDTH; write for example 512x1024")
        return Resolution(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    def check(self, unit: int) -> None:
        """Raises OptionError with the nearest valid resolution if a side is not a multiple of `unit`."""
        nearest = Resolution(_nearest(self.height, unit), _nearest(self.width, unit))
        for side, value, better in (("height", self.height, nearest.height), ("width", self.width, nearest.width)):
            if value > LARGEST_SIDE:
                raise OptionError(f"{side} {value} is over {LARGEST_SIDE}; use a smaller one (--resolution {nearest})")
            if value != better:
                raise OptionError(f"{side} {value} is not a multiple of {unit}; use {better} (--resolution {nearest})")


def _nearest(value: int, unit: int) -> int:
    return min(max(1, (value + unit // 2) // unit), LARGEST_SIDE // unit) * unit


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export. The defaults suit deployment: images in, labels out.

    Attributes:
        resolution: of the input; None takes the preset's.
        batch: images at once.
        dynamic: batch, height and width are left open; `resolution` is then what the export is verified at.
        input_type: UINT8 takes RGB images [N, H, W, 3] and normalises them in the graph.
        output: labels, logits, or both.
        precision: FLOAT32, FLOAT16, or INT8 (the encoder quantised; needs `calibration`).
        target: what the graph is made for. CPU (in float32: each block of the encoder as one operator, which only
            CPUs have), CUDA, TENSORRT (the graph as TensorRT's parser takes it), or PORTABLE (standard operators only).
            Engines can be built from files of every target.
        opset: of the standard operators.
        verify: run the file against PyTorch, and keep it only if they agree.
        force: replace an existing file.
        calibration: a folder of images, for INT8.
    """

    resolution: Resolution | None = None
    batch: int = 1
    dynamic: bool = False
    input_type: InputType = InputType.UINT8
    output: OutputKind = OutputKind.LABELS
    precision: Precision = Precision.FLOAT32
    target: Target = Target.CPU
    opset: int = DEFAULT_OPSET
    verify: bool = True
    force: bool = False
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= 1024:
            raise OptionError(f"batch {self.batch} is not between 1 and 1024 (--batch)")
        if self.opset not in _OPSETS:
            raise OptionError(f"opset {self.opset} is not between {_OPSETS[0]} and {_OPSETS[-1]} (--opset)")
        if self.precision is Precision.BFLOAT16:
            raise OptionError("bfloat16 files are not written; use float32 or float16 (--fp16)")
        if (self.precision is Precision.INT8) != (self.calibration is not None):
            raise OptionError("int8 and a folder of calibration images require each other (--int8 --calibrate DIR)")
        if self.precision is Precision.INT8 and self.target in (Target.CUDA, Target.TENSORRT):
            raise OptionError(
                f"int8 files are for the CPU, not for {self.target.value}; use --fp16, or leave --target out"
            )

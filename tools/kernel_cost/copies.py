"""Prints docs/gpu-layouts.md: the copies of TensorRT for RTX around our plugins, with and without laid-out inputs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from unittest import mock

from hyperseg_export import ExportOptions, export_onnx
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.engine.report import Audit, Layer, Tensor
from hyperseg_export.passes import targets
from vectors import MapLayout, Placement

import hyperseg
from kernel_cost.cost import GRIDS, compulsory, preset_cases, preset_of

_CAPABILITY = "8.6"
_BYTES = {"Half": 2, "Float": 4}

_INTRODUCTION = f"""\
# Where the plug-ins' inputs lie

Made by `PYTHONPATH=tools python -m kernel_cost.copies > docs/gpu-layouts.md`: layers of real engines (TensorRT
for RTX, compute capability {_CAPABILITY}, published resolutions) that only move values and stand at a plug-in, and
the bytes that they read and write. Nothing was timed. Beside them the bytes that the decoder's operators have to move
at least, from the [cost sheet](gpu-cost.md).

- *as the contract has them*: X is NCHW, theta [N, T, N_h, N_w, L]. TensorRT for RTX makes convolutions channels last
  and transposes X before the plug-in. It makes theta's product with an even number of columns, and one product
  of two that share a factor, and then copies each theta out of it.
- *placed*: X is kHWC where a standard operator makes it, and the plug-ins read theta's pieces within the rows that the
  product makes. `hyperseg-build-engine` says so to the nodes; the ONNX file stays as it is.
"""

_REASONS = """
## What stays as it is

- **Y and `previous`** are NCHW: plug-ins write and read them themselves, so nothing is transposed there.
- **kHWC8**, the channels-last format that every TensorRT documents for float16, pads pixels to a multiple of 8
  channels. TensorRT for RTX makes it of what a convolution writes by three layers (transpose, pad, transpose back),
  where kLINEAR needs one; elsewhere the padding is read too. So it is offered, beside kHWC and kLINEAR, to a TensorRT
  that times them, and never asked for. X of all levels in float16, in MB:
"""


def _engine(model: Path, folder: Path, half: bool, placed: bool) -> Audit:
    options = EngineOptions(half=half, compute_capabilities=(_CAPABILITY,), force=True)
    if placed:
        return build_engine(model, folder / "m.engine", options).audit
    with mock.patch.object(targets, "RTX", replace(targets.RTX, layout=())):
        return build_engine(model, folder / "m.engine", options).audit


def _megabytes(layers: tuple[Layer, ...]) -> float:
    return sum(_bytes(tensor) for layer in layers for tensor in (*layer.inputs, *layer.outputs)) / 1e6


def _bytes(tensor: Tensor) -> int:
    return prod(tensor.shape) * _BYTES[tensor.datatype]


def _line(preset: str, dtype: str, before: Audit, after: Audit) -> str:
    patches = GRIDS[preset][0] * GRIDS[preset][1]
    decoder = sum(compulsory(case).bytes for case in preset_cases(dtype) if preset_of(case) == preset) * patches / 1e6
    columns = [preset, dtype, f"{decoder:.1f}"]
    for audit in (before, after):
        columns += [str(audit.plugin_reformats), f"{_megabytes(audit.at_plugins):.1f}", str(audit.layers)]
    return f"| {' | '.join(columns)} |"


def _padding(preset: str) -> str:
    """X of the levels, which standard operators make; voc-l's later steps of a level read a plug-in's Y."""
    patches = GRIDS[preset][0] * GRIDS[preset][1]
    sizes = []
    for layout in (MapLayout.NHWC, MapLayout.NHWC8):
        elements = 0
        for case in preset_cases("float16"):
            if preset_of(case) == preset and case.coordinates:
                x = Placement(layout).of(case)[0]
                assert x is not None
                elements += x.size // (case.grid[0] * case.grid[1]) * patches
        sizes.append(f"{2 * elements / 1e6:.2f}")
    return f"| {preset} | {' | '.join(sizes)} |"


def _sheet(folder: Path) -> Iterator[str]:
    yield _INTRODUCTION
    yield "| | | decoder, compulsory MB | copies | MB | layers in all | placed: copies | MB | layers in all |"
    yield "|---" * 9 + "|"
    for preset in GRIDS:
        model = folder / f"{preset}.onnx"
        export_onnx(hyperseg.create(preset), model, ExportOptions(verify=False))
        for dtype in ("float32", "float16"):
            audits = [_engine(model, folder, dtype == "float16", placed) for placed in (False, True)]
            yield _line(preset, dtype, *audits)
    yield _REASONS
    yield "| | kHWC | kHWC8 |"
    yield "|---|---|---|"
    yield from map(_padding, GRIDS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=tools python -m kernel_cost.copies > docs/gpu-layouts.md",
    )
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in _sheet(Path(folder)):
            print(line)
            sys.stdout.flush()


if __name__ == "__main__":
    main()

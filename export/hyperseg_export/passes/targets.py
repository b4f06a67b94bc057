"""Export and engine targets as tuples of passes.

    PyTorch's exporter ─► CPU | CUDA | PORTABLE ─► model.onnx ─► TENSORRT | RTX ─► engine
                          CUDA ─► TENSORRT ─► model.onnx ─► trtexec, DeepStream, Triton

A file is exported for ONNX Runtime on the CPU or on CUDA, for TensorRT's parser, or in standard operators for any
runtime (`file_passes`). Engines are built from each of these, so their passes begin with the inverses of the passes for
the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import onnx_ir as ir
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.metadata import Precision, Target

from hyperseg_export.passes.cleanup import finish, name_nodes, simplify, sort
from hyperseg_export.passes.fused_mapper import fuse_mappers, unfuse_mappers
from hyperseg_export.passes.mbconv import fuse_mbconv, unfuse_mbconv
from hyperseg_export.passes.meta_block import fuse_meta_blocks, unfuse_meta_blocks
from hyperseg_export.passes.onnxruntime_forms import conv_to_gemm, gemm_to_conv, join_means, split_means
from hyperseg_export.passes.plugin_layouts import lay_out_plugin_inputs
from hyperseg_export.passes.rewriting import Pass, share, unique_names, unpack_weights, use_current_names
from hyperseg_export.passes.standard_operators import to_standard_operators
from hyperseg_export.passes.surgery import Surgery, close_input_gaps, matmul_to_conv
from hyperseg_export.passes.uint8_edges import cast_image_first, cast_labels_from_floats

FUSE: tuple[Pass, ...] = (fuse_mbconv, fuse_meta_blocks, fuse_mappers, conv_to_gemm)
UNFUSE: tuple[Pass, ...] = (unfuse_mappers, unfuse_meta_blocks, unfuse_mbconv, gemm_to_conv)

CPU: tuple[Pass, ...] = (name_nodes, simplify, *FUSE, sort, split_means, finish)
"""ONNX Runtime on the CPU, in float32. Blocks are one operator each, which only our CPU library has."""

CUDA: tuple[Pass, ...] = (name_nodes, simplify, split_means, finish)
"""ONNX Runtime on CUDA, and float16 on the CPU. Dynamic convolutions are our operators, the rest is standard."""

PORTABLE: tuple[Pass, ...] = (name_nodes, to_standard_operators, simplify, split_means, finish)
"""Any runtime: standard operators only."""


@dataclass(frozen=True)
class EngineTarget:
    """The steps from a file's graph to TensorRT's parser."""

    passes: tuple[Pass, ...]
    """On the file's graph (onnx_ir)."""
    surgery: tuple[Surgery, ...]
    """On the result of the passes (onnx-graphsurgeon), before `--fp16` sets the element types."""
    layout: tuple[Surgery, ...] = ()
    """After that."""


TENSORRT = EngineTarget(
    passes=(unique_names, use_current_names, unpack_weights, *UNFUSE, join_means, share),
    surgery=(close_input_gaps, cast_image_first, cast_labels_from_floats),
)
"""TensorRT 10 and 11. DPWConv, DPWInvertedResidual and UpsampleArgmax are plugins, the rest is standard."""

RTX = replace(TENSORRT, layout=(lay_out_plugin_inputs,))
"""TensorRT for RTX, for Ampere and newer."""

RTX_TURING = replace(TENSORRT, layout=(lay_out_plugin_inputs, matmul_to_conv))
"""TensorRT for RTX, for Turing too, in float32."""

RTX_TURING_HALF = replace(TENSORRT, layout=(partial(lay_out_plugin_inputs, columns=8),))
"""The same in float16."""


def engine_target(flavour: Flavour, half: bool, turing: bool) -> EngineTarget:
    """The target for a TensorRT; `turing`: whether the engine is for GPUs of the Turing generation too."""
    if flavour is not Flavour.RTX:
        return TENSORRT
    if not turing:
        return RTX
    return RTX_TURING_HALF if half else RTX_TURING


def file_passes(target: Target, precision: Precision) -> tuple[Pass, ...]:
    """The passes of an exported file. The fused operators of the CPU compute in float32 only."""
    if target is Target.TENSORRT:
        return (*CUDA, *TENSORRT.passes)
    if target is Target.PORTABLE:
        return PORTABLE
    return CPU if target is Target.CPU and precision is Precision.FLOAT32 else CUDA


def file_surgery(target: Target) -> tuple[Surgery, ...]:
    """The edits of an exported file after its passes."""
    return TENSORRT.surgery if target is Target.TENSORRT else ()


PassProgress = Callable[[int, int, str], None]
"""Receives the number of a pass that begins, from 1, the number of passes, and its name."""


def run_passes(model: ir.Model, passes: tuple[Pass, ...], progress: PassProgress | None = None) -> None:
    """Runs the passes on the model, in place."""
    for number, each in enumerate(passes, 1):
        if progress is not None:
            progress(number, len(passes), getattr(each, "__name__", "").replace("_", " "))
        each(model)

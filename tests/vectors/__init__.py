"""The test vectors that prove every backend of the operators equal: PyTorch, ONNX Runtime, TensorRT, CUDA, portable.

`CASES` says what to run, `Case.inputs()` draws the inputs, `reference` computes the answer in float64 and `inexact` how
far off float32 sums may be, `assert_matches` compares. Nothing here imports more than numpy and the names of layouts.
"""

from .cases import (
    AnyCase,
    Case,
    DPWConvCase,
    DPWInvertedResidualCase,
    DPWMetaBlockCase,
    FusedMapperDPWConvCase,
    InvertedResidualCase,
    UpsampleArgmaxCase,
)
from .chosen import CASES
from .chosen_cpu import ENCODER_CASES, MAPPED_CASES, META_BLOCK_CASES
from .compare import assert_matches, assert_within, bounded, expected, on_cuda
from .inexact import IN_FLOAT16_MAPS, IN_FLOAT32, Arithmetic, Inexact, inexact
from .placement import PADDED_ROWS, UNEVEN_ROWS, MapLayout, Placement

__all__ = [
    "CASES",
    "ENCODER_CASES",
    "IN_FLOAT16_MAPS",
    "IN_FLOAT32",
    "MAPPED_CASES",
    "META_BLOCK_CASES",
    "PADDED_ROWS",
    "UNEVEN_ROWS",
    "AnyCase",
    "Arithmetic",
    "Case",
    "DPWConvCase",
    "DPWInvertedResidualCase",
    "DPWMetaBlockCase",
    "FusedMapperDPWConvCase",
    "Inexact",
    "InvertedResidualCase",
    "MapLayout",
    "Placement",
    "UpsampleArgmaxCase",
    "assert_matches",
    "assert_within",
    "bounded",
    "expected",
    "inexact",
    "on_cuda",
]

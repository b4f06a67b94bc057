"""The test vectors of the operators, shared by all backends: PyTorch, ONNX Runtime, TensorRT, CUDA, standard operators.

`CASES` lists them, `Case.inputs()` draws the inputs, `reference` computes the output in float64, `inexact` bounds the
error of float32 sums, and `assert_matches` compares. Imports only numpy and the names of memory layouts.
"""

from hyperseg.cuda_library import MapLayout

from .cases import (
    AnyCase,
    Case,
    DPWConvCase,
    DPWInvertedResidualCase,
    DPWMetaBlockCase,
    FusedMapperDPWConvCase,
    MBConvCase,
    UpsampleArgmaxCase,
)
from .chosen import CASES, by_operator, by_vector
from .chosen_cpu import FUSED_MAPPER_CASES, MBCONV_CASES, META_BLOCK_CASES
from .chosen_targets import TARGET_CASES
from .compare import assert_matches, assert_within, bounded, check_each, expected, labelled, on_cuda
from .inexact import IN_FLOAT16_MAPS, IN_FLOAT32, Arithmetic, Inexact, inexact
from .placement import PADDED_ROWS, PLACEMENTS, UNEVEN_ROWS, Placement, placements_of

__all__ = [
    "CASES",
    "FUSED_MAPPER_CASES",
    "IN_FLOAT16_MAPS",
    "IN_FLOAT32",
    "MBCONV_CASES",
    "META_BLOCK_CASES",
    "PADDED_ROWS",
    "PLACEMENTS",
    "TARGET_CASES",
    "UNEVEN_ROWS",
    "AnyCase",
    "Arithmetic",
    "Case",
    "DPWConvCase",
    "DPWInvertedResidualCase",
    "DPWMetaBlockCase",
    "FusedMapperDPWConvCase",
    "Inexact",
    "MBConvCase",
    "MapLayout",
    "Placement",
    "UpsampleArgmaxCase",
    "assert_matches",
    "assert_within",
    "bounded",
    "by_operator",
    "by_vector",
    "check_each",
    "expected",
    "inexact",
    "labelled",
    "on_cuda",
    "placements_of",
]

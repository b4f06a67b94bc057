"""The test vectors that prove every backend of the operators equal: PyTorch, ONNX Runtime, TensorRT, CUDA, portable.

`CASES` says what to run, `Case.inputs()` draws the inputs, `reference` computes the answer in float64 and
`assert_matches` compares. Nothing here imports more than numpy.
"""

from .cases import (
    AnyCase,
    Case,
    DPWConvCase,
    DPWInvertedResidualCase,
    DPWMetaBlockCase,
    InvertedResidualCase,
    MappedDPWConvCase,
    UpsampleArgmaxCase,
)
from .chosen import CASES
from .chosen_cpu import ENCODER_CASES, MAPPED_CASES, META_BLOCK_CASES
from .compare import assert_matches, expected
from .placement import MapLayout, Placement

__all__ = [
    "CASES",
    "ENCODER_CASES",
    "MAPPED_CASES",
    "META_BLOCK_CASES",
    "AnyCase",
    "Case",
    "DPWConvCase",
    "DPWInvertedResidualCase",
    "DPWMetaBlockCase",
    "InvertedResidualCase",
    "MapLayout",
    "MappedDPWConvCase",
    "Placement",
    "UpsampleArgmaxCase",
    "assert_matches",
    "expected",
]

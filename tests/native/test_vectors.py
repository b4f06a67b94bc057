"""The test vectors in ONNX Runtime, on the CPU operators."""

from pathlib import Path

import numpy as np
import pytest
from vectors import CASES, FUSED_MAPPER_CASES, MBCONV_CASES, META_BLOCK_CASES, assert_matches, by_vector, labelled

from native.graphs import model_of, run, session

_VECTORS = by_vector([*CASES, *FUSED_MAPPER_CASES, *META_BLOCK_CASES, *MBCONV_CASES])


@pytest.mark.numerics
@pytest.mark.parametrize("vector", _VECTORS)
def test_vector(vector: str, library: Path) -> None:
    for case in _VECTORS[vector]:
        with labelled(case.dtype):
            assert_matches(case, run(session(model_of(case), library), case.inputs())[0])


_FORMER_NAMES = {"FusedMapperDPWConv": "MappedDPWConv", "MBConv": "InvertedResidual"}
"""Of the operators in files of version 0.1.0."""


@pytest.mark.parametrize("operator", _FORMER_NAMES)
def test_former_operator_names_load(operator: str, library: Path) -> None:
    cases = [case for case in (*FUSED_MAPPER_CASES, *MBCONV_CASES) if case.operator == operator]
    assert cases
    for case in cases:
        model = model_of(case)
        expected = run(session(model, library), case.inputs())[0]
        (node,) = model.graph.node
        assert node.domain == "hyperseg"
        node.op_type = _FORMER_NAMES[operator]
        np.testing.assert_array_equal(run(session(model, library), case.inputs())[0], expected, case.name)

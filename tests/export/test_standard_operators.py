"""The lowering to standard operators, on the test vectors that every backend runs."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from numpy.typing import NDArray
from vectors import CASES, IN_FLOAT16_MAPS, IN_FLOAT32, Arithmetic, Case
from vectors.compare import assert_matches

from .graphs import feeds, lowered, one_node
from .in_openvino import compiled

ort = pytest.importorskip("onnxruntime")


def arithmetic(case: Case) -> Arithmetic:
    """Every standard operator puts out the storage type."""
    return IN_FLOAT16_MAPS if case.dtype == "float16" else IN_FLOAT32


def run_onnxruntime(model: onnx.ModelProto, case: Case) -> NDArray[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds(case))[0]


def run_openvino(model: onnx.ModelProto, case: Case) -> NDArray[Any]:
    return compiled(model.SerializeToString())(feeds(case))[0]


@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "dynamic"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lowering_computes_the_operator_in_onnx_runtime(case: Case, dynamic: bool) -> None:
    model = lowered(one_node(case, dynamic))
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)
    assert_matches(case, run_onnxruntime(model, case), arithmetic(case))


@pytest.mark.numerics
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lowering_computes_the_operator_in_openvino(case: Case) -> None:
    assert_matches(case, run_openvino(lowered(one_node(case)), case), arithmetic(case))

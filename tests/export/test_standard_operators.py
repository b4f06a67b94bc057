"""The pass to standard operators, on the shared test vectors."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from numpy.typing import NDArray
from vectors import CASES, IN_FLOAT16_MAPS, IN_FLOAT32, Arithmetic, Case, assert_matches, by_vector, labelled

from .graphs import feeds, lowered, one_node
from .in_openvino import compiled

ort = pytest.importorskip("onnxruntime")

_VECTORS = by_vector(CASES)


def arithmetic(case: Case) -> Arithmetic:
    """Every standard operator stores its output in the storage type."""
    return IN_FLOAT16_MAPS if case.dtype == "float16" else IN_FLOAT32


def run_onnxruntime(model: onnx.ModelProto, case: Case) -> NDArray[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds(case))[0]


def run_openvino(model: onnx.ModelProto, case: Case) -> NDArray[Any]:
    return compiled(model.SerializeToString())(feeds(case))[0]


@pytest.mark.parametrize("vector", _VECTORS)
def test_lowering_computes_the_operator_in_onnx_runtime(vector: str) -> None:
    for case in _VECTORS[vector]:
        for shapes, dynamic in {"fixed": False, "dynamic": True}.items():
            with labelled(f"{case.dtype}, {shapes} shapes"):
                model = lowered(one_node(case, dynamic))
                assert {node.domain for node in model.graph.node} == {""}
                onnx.checker.check_model(model, full_check=True)
                assert_matches(case, run_onnxruntime(model, case), arithmetic(case))


@pytest.mark.numerics
@pytest.mark.parametrize("vector", _VECTORS)
def test_lowering_computes_the_operator_in_openvino(vector: str) -> None:
    for case in _VECTORS[vector]:
        with labelled(case.dtype):
            assert_matches(case, run_openvino(lowered(one_node(case)), case), arithmetic(case))

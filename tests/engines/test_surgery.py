"""Surgery for TensorRT preserves results."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hyperseg_export.passes.surgery import matmul_to_conv
from onnx import TensorProto, helper, numpy_helper
from vectors import MBCONV_CASES, MBConvCase, assert_matches, assert_within, inexact

from .graphs import OPSET, edited, for_tensorrt


def _model(nodes: list[onnx.NodeProto], kind: int, shape: list[int | str], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def test_products_become_convolutions() -> None:
    random = np.random.default_rng(0)
    weights = random.standard_normal((4, 7, 10)).astype(np.float32)
    product = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    model = _model([product], TensorProto.FLOAT, ["n", 4, "patches", 7], w=weights)
    for batch, patches in ((1, 6), (3, 5)):
        x = random.standard_normal((batch, 4, patches, 7)).astype(np.float32)
        expected = np.einsum("ntpk,tkl->ntpl", inexact(x), inexact(weights))
        rewritten = edited(model, matmul_to_conv)
        assert "MatMul" not in {node.op_type for node in rewritten.graph.node}
        for product in (model, rewritten):
            assert_within(_run(product, x), expected, "product as a convolution")


def test_bytes_are_cast_before_they_are_moved() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["floats"], ["y"]),
    ]
    model = _model(nodes, TensorProto.UINT8, [1, 4, 6, 3])
    x = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3), np.uint8)
    expected = _run(model, x)
    model = for_tensorrt(model)
    assert [node.op_type for node in model.graph.node] == ["Cast", "Transpose", "Relu"]
    np.testing.assert_array_equal(_run(model, x), expected)


def test_graphs_that_cast_first_stay_as_they_are() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], name="cast", to=TensorProto.FLOAT)]
    model = _model(nodes, TensorProto.UINT8, [1, 4, 6, 3])
    rewritten = for_tensorrt(model)
    assert list(rewritten.graph.node) == list(model.graph.node)
    assert list(rewritten.graph.initializer) == list(model.graph.initializer)


@pytest.mark.parametrize("case", [case for case in MBCONV_CASES if case.batch == 1][:6], ids=lambda case: case.name)
def test_operators_of_the_cpu_become_standard_ones(case: MBConvCase) -> None:
    inputs = {name: value for name, value in case.inputs().items() if value is not None}
    x = inputs.pop("X")
    names = [name if value is not None else "" for name, value in case.inputs().items()]
    names[0] = "x"
    node = helper.make_node(case.operator, names, ["y"], name="block", domain="hyperseg", **case.attributes)
    model = _model([node], TensorProto.FLOAT, list(x.shape), **inputs)
    model.opset_import.append(helper.make_opsetid("hyperseg", 1))
    model = for_tensorrt(model)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert_matches(case, _run(model, x))

"""Conversion of graphs to half precision: the type of every tensor, and the remaining float32 arithmetic."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hyperseg_export.errors import EngineError
from hyperseg_export.operators.schemas import register
from hyperseg_export.passes.float16 import Reason
from hyperseg_export.reference import LabelCheck
from hyperseg_runtime.metadata import InputType, Precision
from onnx import TensorProto, helper, numpy_helper

from .graphs import HEIGHT, OPSET, WIDTH, halved, miniature
from .sessions import labels_of, random_images

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def _model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], kind: int = FLOAT) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    register()
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {tensor.name: tensor.data_type for tensor in inferred.initializer} | {
        value.name: value.type.tensor_type.elem_type for value in values
    }


def test_the_operators_of_ours_compute_in_half() -> None:
    model = miniature()
    model, conversion = halved(model)
    types = _types(model)
    for node in model.graph.node:
        if node.domain == "hyperseg":
            assert {types[name] for name in node.input} == {HALF}, node.name
        if node.op_type == "Conv":
            assert {types[name] for name in (*node.input, *node.output)} == {HALF}, node.name
    assert conversion.half_nodes > 10


def test_inputs_and_outputs_keep_their_types() -> None:
    model = miniature(input_type=InputType.FLOAT)
    model, _ = halved(model)
    assert model.graph.input[0].type.tensor_type.elem_type == FLOAT
    types = _types(model)
    assert types["labels"] == TensorProto.UINT8


def test_what_is_sensitive_stays_with_its_reason() -> None:
    kept = {node.name: node.reason for node in halved(miniature())[1].kept}
    assert kept["pooled_node"] is Reason.ACCUMULATION
    assert kept["scaled_node"] is kept["normal_node"] is Reason.IMAGE
    assert "skip_node" not in kept


@pytest.mark.parametrize("name", ["Sigmoid", "gate_node"])
def test_more_can_be_kept_by_operator_or_node(name: str) -> None:
    kept = {node.name: node.reason for node in halved(miniature(), [name])[1].kept}
    assert kept["gate_node"] is Reason.REQUESTED


def test_labels_stay() -> None:
    model = miniature()
    half, _ = halved(model)
    images = random_images(HEIGHT, WIDTH)
    comparison = LabelCheck(model, Precision.FLOAT16).compare(images, labels_of(half, images))
    assert comparison.explained, comparison


def test_float_outputs_are_cast_back() -> None:
    model = _model([helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Sigmoid", ["a"], ["y"])], {})
    model, _ = halved(model)
    x = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    y = _run(model, x)
    assert y.dtype == np.float32
    # The input is rounded, of which the sigmoid passes on a quarter at most, then its result; both are below 2^2.
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-np.maximum(x, 0))), rtol=0, atol=2.0**-11 * (4 / 4 + 1))


def test_an_output_that_is_also_read_inside() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
    model = _model(nodes, {})
    model.graph.output.append(helper.make_tensor_value_info("z", FLOAT, None))
    model, _ = halved(model)
    types = _types(model)
    assert types["y"] == types["z"] == FLOAT


def test_scales_of_resize_stay_float() -> None:
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear")
    model = _model([node], {"scales": np.array([1, 1, 2, 2], np.float32)})
    model, _ = halved(model)
    x = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    assert _run(model, x).shape == (1, 4, 16, 16)


def test_shapes_are_computed_in_float32() -> None:
    """float16 cannot represent 3001; a resize to half of it would be wrong."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["floats"], to=FLOAT),
        helper.make_node("Mul", ["floats", "factor"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["target"], to=TensorProto.INT64),
        helper.make_node("Expand", ["zero", "target"], ["y"]),
    ]
    model = _model(nodes, {"factor": np.array([1, 1, 1, 3001 / 8], np.float32), "zero": np.zeros(1, np.float32)})
    model, _ = halved(model)
    assert _run(model, np.zeros((1, 4, 8, 8), np.float32)).shape == (1, 4, 8, 3001)


def test_constants_beyond_half_keep_their_node_in_float32() -> None:
    nodes = [helper.make_node("Mul", ["x", "large"], ["a"]), helper.make_node("Tanh", ["a"], ["y"])]
    model = _model(nodes, {"large": np.float32(1e6).reshape(1)})
    # Outputs of the image's own preparation are kept for another reason, so the node must not be one of these.
    model.graph.node.insert(0, helper.make_node("Relu", ["x"], ["r"]))
    model.graph.node[1].input[0] = "r"
    model, conversion = halved(model)
    kept = conversion.kept
    assert [node.reason for node in kept] == [Reason.CONSTANT]
    assert np.isfinite(_run(model, np.ones((1, 4, 8, 8), np.float32))).all()


def test_constant_nodes_are_converted() -> None:
    value = numpy_helper.from_array(np.full(1, 0.5, np.float32))
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Constant", [], ["half"], value=value),
        helper.make_node("Mul", ["r", "half"], ["y"]),
    ]
    model = _model(nodes, {})
    model, _ = halved(model)
    np.testing.assert_array_equal(_run(model, np.ones((1, 4, 8, 8), np.float32)), 0.5)


def test_what_is_half_already_is_refused() -> None:
    model = miniature()
    model, _ = halved(model)
    with pytest.raises(EngineError, match="computes in float16 already; build it without --fp16"):
        halved(model)


def test_what_is_quantised_is_refused() -> None:
    node = helper.make_node("QuantizeLinear", ["x", "scale"], ["y"])
    with pytest.raises(EngineError, match="quantised to int8"):
        halved(_model([node], {"scale": np.ones((), np.float32)}))


def test_unknown_names_to_keep_are_refused() -> None:
    with pytest.raises(EngineError, match="--keep-fp32 Softmax: the model has no node or operator of that name"):
        halved(miniature(), ["Softmax"])

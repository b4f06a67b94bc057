"""Encoder blocks: fused for the CPU, and back to the standard operators that every other backend takes."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hyperseg_export.fusion import INVERTED_RESIDUAL, fuse_encoder
from hyperseg_export.lowering import lower
from hyperseg_export.operators import DOMAIN
from hyperseg_export.operators.schemas import register
from native.graphs import one_node_model
from vectors import ENCODER_CASES, InvertedResidualCase, assert_matches


def _model(case: InvertedResidualCase) -> ir.Model:
    """One block whose weights are constants of the graph."""
    register()
    proto = one_node_model(case.operator, case.inputs(), case.attributes)
    constants = {name: value for name, value in case.inputs().items() if value is not None and name != "X"}
    image = onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, case.inputs()["X"].shape)
    del proto.graph.input[:]
    proto.graph.input.append(image)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


@pytest.mark.parametrize("case", ENCODER_CASES, ids=lambda case: case.name)
def test_lowered_block_is_the_block(case: InvertedResidualCase) -> None:
    model = _model(case)
    assert lower(model) == 1
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert_matches(case, session.run(None, {"X": case.inputs()["X"]})[0])


@pytest.mark.parametrize("case", ENCODER_CASES, ids=lambda case: case.name)
def test_fusion_undoes_lowering(case: InvertedResidualCase) -> None:
    model = _model(case)
    attributes = {name: attribute.value for name, attribute in next(iter(model.graph)).attributes.items()}
    lower(model)
    _with_reduce_mean(model)
    assert fuse_encoder(model) == 1
    nodes = list(model.graph)
    assert [(node.domain, node.op_type) for node in nodes] == [(DOMAIN, INVERTED_RESIDUAL)]
    assert {name: attribute.value for name, attribute in nodes[0].attributes.items()} == attributes
    given = [None if value is None else value.name for value in nodes[0].inputs]
    assert given == [name if value is not None else None for name, value in case.inputs().items()]


@pytest.mark.parametrize("part", ["Sigmoid", "ReduceMean", "Mul"])
def test_an_intermediate_that_others_read_keeps_the_block(part: str) -> None:
    model = _model(ENCODER_CASES[0])
    lower(model)
    _with_reduce_mean(model)
    node = next(node for node in model.graph if node.op_type == part)
    model.graph.outputs.append(node.outputs[0])
    assert fuse_encoder(model) == 0


def _with_reduce_mean(model: ir.Model) -> None:
    """As PyTorch's exporter writes the average over pixels."""
    for node in list(model.graph):
        if node.op_type == "GlobalAveragePool":
            mean = ir.node("ReduceMean", [node.inputs[0]], {"axes": [2, 3], "keepdims": 1})
            ir.convenience.replace_nodes_and_values(model.graph, node, [node], [mean], node.outputs, mean.outputs)

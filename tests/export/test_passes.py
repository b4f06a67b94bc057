"""Fusions for the CPU (encoder blocks, meta blocks, large convolutions) and their inverses for other backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hyperseg_export.operators import DOMAIN
from hyperseg_export.operators.schemas import register
from hyperseg_export.passes.fused_mapper import FUSED_MAPPER, fuse_mappers
from hyperseg_export.passes.mbconv import MBCONV, fuse_mbconv
from hyperseg_export.passes.meta_block import META_BLOCK, fuse_meta_blocks
from hyperseg_export.passes.onnxruntime_forms import conv_to_gemm, join_means
from hyperseg_export.passes.standard_operators import to_standard_operators
from native.graphs import one_node_model
from onnx_ir.passes import common
from vectors import (
    FUSED_MAPPER_CASES,
    MBCONV_CASES,
    META_BLOCK_CASES,
    DPWMetaBlockCase,
    FusedMapperDPWConvCase,
    MBConvCase,
    assert_matches,
    assert_within,
    inexact,
)


def _model(case: MBConvCase) -> ir.Model:
    """One block whose weights are constants of the graph."""
    register()
    proto = one_node_model(case.operator, case.inputs(), case.attributes)
    constants = {name: value for name, value in case.inputs().items() if value is not None and name != "X"}
    image = onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, case.inputs()["X"].shape)
    del proto.graph.input[:]
    proto.graph.input.append(image)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


@pytest.mark.parametrize("case", MBCONV_CASES, ids=lambda case: case.name)
def test_lowered_block_is_the_block(case: MBConvCase) -> None:
    model = _model(case)
    assert to_standard_operators(model) == 1
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert_matches(case, session.run(None, {"X": case.inputs()["X"]})[0])


@pytest.mark.parametrize("case", MBCONV_CASES, ids=lambda case: case.name)
def test_fusion_undoes_lowering(case: MBConvCase) -> None:
    model = _model(case)
    attributes = {name: attribute.value for name, attribute in next(iter(model.graph)).attributes.items()}
    to_standard_operators(model)
    join_means(model)
    assert fuse_mbconv(model) == 1
    nodes = list(model.graph)
    assert [(node.domain, node.op_type) for node in nodes] == [(DOMAIN, MBCONV)]
    assert {name: attribute.value for name, attribute in nodes[0].attributes.items()} == attributes
    given = [None if value is None else value.name for value in nodes[0].inputs]
    assert given == [name if value is not None else None for name, value in case.inputs().items()]


@pytest.mark.parametrize("part", ["Sigmoid", "ReduceMean", "Mul"])
def test_an_intermediate_that_others_read_keeps_the_block(part: str) -> None:
    model = _model(MBCONV_CASES[0])
    to_standard_operators(model)
    join_means(model)
    node = next(node for node in model.graph if node.op_type == part)
    model.graph.outputs.append(node.outputs[0])
    assert fuse_mbconv(model) == 0


def _patchwise(case: DPWMetaBlockCase | FusedMapperDPWConvCase) -> ir.Model:
    """One node with inputs of fixed shapes, and the mapper as a constant."""
    register()
    proto = one_node_model(case.operator, case.inputs(), case.attributes)
    del proto.graph.input[:]
    for name, value in case.inputs().items():
        if name == "mapper":
            proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        elif value is not None:
            proto.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape))
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def _fed(case: DPWMetaBlockCase | FusedMapperDPWConvCase) -> dict[str, Any]:
    return {name: value for name, value in case.inputs().items() if value is not None and name != "mapper"}


@pytest.mark.parametrize("case", FUSED_MAPPER_CASES, ids=lambda case: case.name)
def test_lowered_mapped_convolution_is_the_convolution(case: FusedMapperDPWConvCase) -> None:
    model = _patchwise(case)
    assert to_standard_operators(model) == 1
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    assert_matches(case, session.run(None, _fed(case))[0])


@pytest.mark.parametrize("case", FUSED_MAPPER_CASES, ids=lambda case: case.name)
def test_small_patches_get_their_mapper_again(case: FusedMapperDPWConvCase) -> None:
    model = _patchwise(case)
    attributes = {name: attribute.value for name, attribute in next(iter(model.graph)).attributes.items()}
    to_standard_operators(model, keep=["DPWConv"])
    assert [node.op_type for node in model.graph][-2:] == ["Reshape", "DPWConv"]
    small = case.patch[0] * case.patch[1] <= 4
    assert fuse_mappers(model) == int(small)
    common.RemoveUnusedNodesPass()(model)
    if small:
        (node,) = model.graph
        assert (node.domain, node.op_type) == (DOMAIN, FUSED_MAPPER)
        assert {name: attribute.value for name, attribute in node.attributes.items()} == attributes
        given = [value.name for value in node.inputs if value is not None]
        assert given == [name for name, value in case.inputs().items() if value is not None]


def test_weights_that_others_read_are_still_made() -> None:
    model = _patchwise(FUSED_MAPPER_CASES[0])
    to_standard_operators(model, keep=["DPWConv"])
    theta = next(iter(reversed(model.graph))).inputs[1]
    assert theta is not None
    model.graph.outputs.append(theta)
    theta.producer().append(ir.node("Identity", [theta]))  # type: ignore[union-attr]
    assert fuse_mappers(model) == 0


@pytest.mark.parametrize("case", META_BLOCK_CASES, ids=lambda case: case.name)
def test_lowered_meta_block_is_the_block(case: DPWMetaBlockCase) -> None:
    model = _patchwise(case)
    assert to_standard_operators(model) == 1
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    assert_matches(case, session.run(None, _fed(case))[0])


@pytest.mark.parametrize("case", META_BLOCK_CASES, ids=lambda case: case.name)
def test_meta_blocks_of_high_patches_are_fused_again(case: DPWMetaBlockCase) -> None:
    model = _patchwise(case)
    attributes = {name: attribute.value for name, attribute in next(iter(model.graph)).attributes.items()}
    to_standard_operators(model, keep=["DPWConv"])
    assert [node.op_type for node in model.graph] == ["DPWConv"] * 3
    fused = fuse_meta_blocks(model)
    assert fused == int(case.patch[0] >= 16)
    if fused:
        (node,) = model.graph
        assert (node.domain, node.op_type) == (DOMAIN, META_BLOCK)
        assert {name: attribute.value for name, attribute in node.attributes.items()} == attributes
        given = [None if value is None else value.name for value in node.inputs]
        assert given == [name for name, value in case.inputs().items() if value is not None]


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_large_convolutions_become_products(side: int, bias: bool) -> None:
    random = np.random.default_rng(side)
    channels, rows = 160 // side, 1700
    weight = random.standard_normal((rows, channels, side, side)).astype(np.float32) / 16
    constants = {"w": weight, **({"b": random.standard_normal(rows).astype(np.float32)} if bias else {})}
    size = [1, channels, 6, 12]
    node = onnx.helper.make_node("Conv", ["x", *constants], ["y"], strides=[side, side], name="part/Conv")
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, size)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, rows, 6 // side, 12 // side])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    model = ir.from_proto(proto)
    assert conv_to_gemm(model) == 1
    common.RemoveUnusedNodesPass()(model)
    rewritten = ir.to_proto(model)
    onnx.checker.check_model(rewritten, full_check=True)
    assert all(node.op_type != "Conv" for node in rewritten.graph.node)
    x = random.standard_normal(size).astype(np.float32)
    blocks = x.reshape(1, channels, 6 // side, side, 12 // side, side)
    expected = np.einsum("ocuv,ncyuxv->noyx", inexact(weight), inexact(blocks))
    if bias:
        expected = expected + constants["b"].astype(np.float64)[:, None, None]
    for each in (proto, rewritten):
        session = onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        assert_within(session.run(None, {"x": x})[0], expected, "convolution as a product")

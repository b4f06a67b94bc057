"""Passes on graphs that are legal ONNX but not as the exporter writes them: nothing changes what it should not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

pytest.importorskip("torch")

from engines.graphs import edited, halved
from hyperseg_export import ExportOptions, Resolution, export_onnx
from hyperseg_export.engine import EngineOptions
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.errors import EngineError
from hyperseg_export.passes.onnxruntime_forms import conv_to_gemm, gemm_to_conv, split_means
from hyperseg_export.passes.plugin_layouts import lay_out_plugin_inputs
from hyperseg_export.passes.rewriting import Pass
from hyperseg_export.passes.targets import RTX, RTX_TURING, RTX_TURING_HALF, TENSORRT, engine_target
from hyperseg_export.reference import LabelCheck, open_reference
from hyperseg_export.samples import random_network, sample_images
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Precision
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model_of(nodes: list[onnx.NodeProto], shape: list[int], **constants: np.ndarray[Any, Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("hyperseg", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def outputs(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


def assert_same(model: onnx.ModelProto, rewrite: Pass, count: int) -> None:
    """`rewrite` finds `count` places in the model, and its output stays."""
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    assert rewrite(graph) == count
    shape = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = outputs(model, x)
    # Sums of at most 64 products of normal numbers, in another order.
    np.testing.assert_allclose(outputs(ir.to_proto(graph), x), expected, rtol=0, atol=64 * 64 * 2.0**-23 * 20)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd") / "m.onnx"
    export_onnx(random_network("camvid-lite"), path, ExportOptions(resolution=Resolution(64, 128), verify=False))
    return path


def _without_names(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.ClearField("name")


def _with_one_name(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.name = "node"


def _with_former_operators(model: onnx.ModelProto) -> None:
    former = {"FusedMapperDPWConv": "MappedDPWConv", "MBConv": "InvertedResidual"}
    changed = [node for node in model.graph.node if node.op_type in former]
    assert {node.op_type for node in changed} <= set(former)
    for node in changed:
        node.op_type = former[node.op_type]


def _with_halves(model: onnx.ModelProto) -> None:
    """Weights stored in float16 and cast, as in the shipped model."""
    from hyperseg_export.shipped_model import halve_weights

    assert halve_weights(model) > 0


@pytest.mark.parametrize("change", [_without_names, _with_one_name, _with_former_operators, _with_halves])
@pytest.mark.parametrize("half", [False, True])
def test_an_engine_of_an_odd_file(
    change: Callable[[onnx.ModelProto], None], half: bool, exported: Path, tmp_path: Path
) -> None:
    if find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    model = onnx.load(exported)
    change(model)
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    prepared = prepare(read_model(path), EngineOptions(half=half)).proto
    assert len({node.name for node in prepared.graph.node}) == len(prepared.graph.node)
    constants = {tensor.name for tensor in prepared.graph.initializer}
    assert all(node.input[1] in constants for node in prepared.graph.node if node.op_type == "Conv")
    image = np.stack(sample_images(64, 128)[:1])
    labels = open_reference(prepared, lambda _: None).run(["labels"], {"image": image})[0]
    precision = Precision.FLOAT16 if half else Precision.FLOAT32
    comparison = LabelCheck(onnx.load(path), precision).compare(image, labels)
    assert comparison.explained, comparison


@pytest.mark.parametrize("taken", [np.array([3]), np.array([2.0], np.float32), np.array(2)])
def test_a_constant_that_has_the_name_of_an_axis(taken: np.ndarray[Any, Any]) -> None:
    mean = helper.make_node("ReduceMean", ["x", "axes"], ["m"], name="mean")
    unused = helper.make_node("Identity", ["axis_2"], ["also"], name="other")
    model = model_of([mean, unused, helper.make_node("Relu", ["m"], ["y"])], [1, 3, 4, 8], axes=np.array([2, 3]))
    model.graph.initializer.append(numpy_helper.from_array(taken, "axis_2"))
    assert_same(model, split_means, 1)


@pytest.mark.parametrize(("shape", "axes", "count"), [([2, 3, 4, 6, 5], [-1, -2], 0), ([1, 2, 4, 6], [-2, -1], 1)])
def test_averages_over_other_axes_stay(shape: list[int], axes: list[int], count: int) -> None:
    model = model_of([helper.make_node("ReduceMean", ["x", "axes"], ["y"], name="mean")], shape, axes=np.array(axes))
    assert_same(model, split_means, count)


def _gemm(shape: list[int], before: list[int], after: list[int], bias: list[int] | None = None) -> onnx.ModelProto:
    random = np.random.default_rng(1)
    constants = {"w": random.standard_normal((5, before[0])).astype(np.float32), "s": np.array(before)}
    constants["t"] = np.array(after)
    if bias is not None:
        constants["b"] = random.standard_normal(bias).astype(np.float32)
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["columns"], name="before"),
        helper.make_node("Gemm", ["w", "columns", *(["b"] if bias else [])], ["product"], name="gemm"),
        helper.make_node("Reshape", ["product", "t"], ["y"], name="after"),
    ]
    return model_of(nodes, shape, **constants)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (_gemm([1, 4, 2, 3], [4, -1], [1, 5, 2, 3], [5, 1]), 1),
        (_gemm([1, 4, 2, 3], [4, -1], [1, 5, 2, 3]), 1),
        (_gemm([2, 2, 2, 3], [4, -1], [1, 5, 2, 3]), 0),
        (_gemm([1, 4, 2, 3], [4, -1], [5, 6]), 0),
        (_gemm([1, 4, 2, 3], [4, -1], [1, 5, 2, 3], [1, 6]), 0),
        (_gemm([1, 4, 2, 3], [8, -1], [1, 5, 1, 3]), 0),
    ],
    ids=["convolution", "no bias", "batch of two", "rank two", "another bias", "more rows"],
)
def test_products_that_are_no_convolution_stay(model: onnx.ModelProto, count: int) -> None:
    assert_same(model, gemm_to_conv, count)


def test_a_bias_that_is_computed_keeps_the_convolution() -> None:
    weight = np.random.default_rng(0).standard_normal((1024, 256, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Relu", ["b"], ["bias"], name="relu"),
        helper.make_node("Conv", ["x", "w", "bias"], ["y"], name="conv"),
    ]
    model = model_of(nodes, [1, 256, 2, 2], w=weight, b=np.ones(1024, np.float32))
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    assert conv_to_gemm(graph) == 0


def test_half_precision_beside_tensors_of_the_names_that_it_gives() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["x_half"], name="a"),
        helper.make_node("Add", ["x_half", "x"], ["y_half"], name="b"),
        helper.make_node("Neg", ["y_half"], ["y"], name="c"),
    ]
    model, _ = halved(model_of(nodes, [1, 4, 2, 2]))
    onnx.checker.check_model(model, full_check=True)
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2)
    np.testing.assert_array_equal(outputs(model, x), -2 * x)


def test_types_that_half_precision_does_not_convert_are_named() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["small"], name="there", to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["small"], ["y"], name="back", to=FLOAT),
    ]
    with pytest.raises(EngineError, match=r"node there \(Cast\) has a type that --fp16 does not convert"):
        halved(model_of(nodes, [1, 4]))


def test_a_weight_mapper_whose_product_is_read_twice_stays() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], name="product"),
        helper.make_node("Reshape", ["product", "s"], ["theta"], name="theta"),
        helper.make_node("DPWConv", ["image", "theta"], ["z"], name="level", domain="hyperseg", kernel_shape=[1, 1]),
        helper.make_node("Relu", ["product"], ["y"], name="other"),
    ]
    weights = np.ones((2, 3, 5), np.float32)
    image = np.ones((1, 3, 2, 3), np.float32)
    model = model_of(nodes, [1, 2, 6, 3], w=weights, s=np.array([1, 2, 2, 3, 5]), image=image)
    laid_out = edited(model, lay_out_plugin_inputs)
    product = next(node for node in laid_out.graph.node if node.op_type == "MatMul")
    constants = {tensor.name: tensor for tensor in laid_out.graph.initializer}
    assert list(constants[product.input[1]].dims) == [2, 3, 5]


def test_the_targets_of_engines() -> None:
    assert engine_target(Flavour.TENSORRT, half=False, turing=True) is TENSORRT
    assert engine_target(Flavour.RTX, half=True, turing=False) is RTX
    assert engine_target(Flavour.RTX, half=False, turing=True) is RTX_TURING
    assert engine_target(Flavour.RTX, half=True, turing=True) is RTX_TURING_HALF

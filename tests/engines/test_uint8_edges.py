"""uint8 at the edges of TensorRT's networks: casts that it supports, and refusal of all others before a build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.engine.process import BuildRequest, Event, EventKind
from hyperseg_export.engine.worker import build
from hyperseg_export.errors import UnsupportedOperatorError
from hyperseg_export.operators.schemas import register
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from onnx import TensorProto, helper

from .doubles.device import Device
from .doubles.tensorrt import FakeTensorRT
from .graphs import OPSET, for_tensorrt, halved, miniature, save

FLOAT, HALF, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8
LABELS = np.arange(256, dtype=np.int64)
"""Every value that a label can have."""


def _labels(kind: int, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Integers `x` to uint8 `labels`, through `nodes`."""
    graph = helper.make_graph(
        [*nodes, helper.make_node("Cast", ["x" if not nodes else "y"], ["labels"], name="end", to=UINT8)],
        "test",
        [helper.make_tensor_value_info("x", kind, [256])],
        [helper.make_tensor_value_info("labels", UINT8, [256])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _casts(model: onnx.ModelProto) -> list[tuple[int, int]]:
    """The element types from and to which the graph's casts convert."""
    register()
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    return [(types[node.input[0]], types[node.output[0]]) for node in graph.node if node.op_type == "Cast"]


def _run(model: onnx.ModelProto, x: np.ndarray) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
def test_labels_become_uint8_by_way_of_floats(kind: int) -> None:
    model = _labels(kind, helper.make_node("Relu", ["x"], ["y"]))
    x = LABELS.astype(helper.tensor_dtype_to_np_dtype(kind))
    prepared = for_tensorrt(model)
    assert _casts(prepared) == [(kind, FLOAT), (FLOAT, UINT8)]
    half, _ = halved(prepared)
    assert _casts(half) == [(kind, HALF), (HALF, UINT8)]
    for each in (model, prepared, half):
        labels = _run(each, x)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, LABELS)


def test_floats_that_become_uint8_stay_as_they_are() -> None:
    model = _labels(FLOAT, helper.make_node("Floor", ["x"], ["y"]))
    assert _casts(for_tensorrt(model)) == _casts(model) == [(FLOAT, UINT8)]


def test_scores_in_float16_have_labels_in_float16() -> None:
    model = _labels(HALF, helper.make_node("ArgMax", ["x"], ["y"], axis=0, keepdims=1))
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert _casts(for_tensorrt(model)) == [(TensorProto.INT64, HALF), (HALF, UINT8)]


def test_an_image_that_becomes_integers_becomes_floats_first() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["integers"], name="to_integers", to=TensorProto.INT32),
            helper.make_node("Relu", ["integers"], ["y"]),
        ],
        "test",
        [helper.make_tensor_value_info("x", UINT8, [256])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [256])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    prepared = for_tensorrt(model)
    assert _casts(prepared) == [(UINT8, FLOAT), (FLOAT, TensorProto.INT32)]
    np.testing.assert_array_equal(_run(prepared, LABELS.astype(np.uint8)), LABELS)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("flavour", [Flavour.TENSORRT, Flavour.RTX])
def test_the_networks_own_edges(flavour: Flavour, half: bool, tmp_path: Path) -> None:
    source = read_model(save(miniature(), tmp_path / "m.onnx"))
    casts = _casts(prepare(source, EngineOptions(half=half), flavour).proto)
    end = HALF if half else FLOAT
    assert [cast for cast in casts if UINT8 in cast or TensorProto.INT32 in cast] == [
        (UINT8, FLOAT), (TensorProto.INT32, end), (end, UINT8),
    ]  # fmt: skip


def _to_int32(model: onnx.ModelProto) -> None:
    """The image is cast to integers, as if nobody had edited the graph."""
    node = next(node for node in model.graph.node if node.input[0] == "image")
    node.attribute[0].i = TensorProto.INT32


def _from_int32(model: onnx.ModelProto) -> None:
    end = next(node for node in model.graph.node if node.output[0] == "labels")
    end.input[0] = "indices"


def _computes(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Max", ["image", "image"], ["larger"], name="largest"))


def _inside(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["level1"], ["bytes"], name="between", to=UINT8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_to_int32, "Cast (node {first}): reads image as uint8"),
        (_from_int32, "Cast (node labels_node): converts int32 to uint8"),
        (_computes, "Max (node largest): reads image as uint8"),
        (_inside, "Cast (node between): converts to uint8, but bytes is no output of the network"),
    ],
)
def test_other_conversions_are_refused_before_the_build(
    change: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
) -> None:
    model = for_tensorrt(miniature())
    first = next(node.name for node in model.graph.node if node.input[0] == "image")
    change(model)
    request = BuildRequest(
        model=str(save(model, tmp_path / "m.onnx")),
        plan=str(tmp_path / "m.engine"),
        flavour=Flavour.TENSORRT,
        plugin_library=__file__,  # any file: the double only checks that it exists
    )
    events: list[Event] = []
    with pytest.raises(UnsupportedOperatorError):
        build(TensorRT(Flavour.TENSORRT, FakeTensorRT("11.1.0.106", Device())), request, events.append)
    (line,) = [event.text for event in events if event.kind is EventKind.UNSUPPORTED]
    assert line.startswith(f"{message.format(first=first)}; TensorRT has uint8 at inputs and outputs only")
    assert not Path(request.plan).exists()


@pytest.mark.parametrize("change", [_to_int32, _from_int32, _computes, _inside])
def test_the_double_of_the_parser_keeps_the_headers_rule(change: Callable[[onnx.ModelProto], None]) -> None:
    module = FakeTensorRT("11.1.0.106", Device())
    network = module.Builder(None).create_network()
    parser = module.OnnxParser(network, None)
    model = for_tensorrt(miniature())
    assert parser.parse(model.SerializeToString())
    change(model)
    with pytest.raises(AssertionError, match="uint8"):
        parser.parse(model.SerializeToString())

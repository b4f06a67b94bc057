"""Small ONNX files in the form of exported ones: a stem, a weight mapper, our three operators, labels."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
from hyperseg_export.passes.float16 import Conversion, to_float16
from hyperseg_export.passes.rewriting import unique_names
from hyperseg_export.passes.surgery import to_graphsurgeon, to_onnx
from hyperseg_export.passes.targets import TENSORRT, run_passes
from hyperseg_runtime.metadata import KEY, InputSpec, InputType, Metadata, OutputKind, Precision
from onnx import TensorProto, helper, numpy_helper

PLUGIN = {"plugin_namespace": "hyperseg", "plugin_version": "1"}
CLASSES = 5
HEIGHT, WIDTH = 64, 96
UNIT = 32
OPSET = 18


class Graph:
    """A graph under construction."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weights(self, name: str, *shape: int, gain: float = 1.0) -> str:
        fan_in = max(1, int(np.prod(shape[1:])))
        return self.constant(name, (gain * self.random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32))

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}_node", **attributes))
        return output

    def ours(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self.node(operator, inputs, output, domain="hyperseg", **attributes, **PLUGIN)


def metadata(dynamic: bool = False, input_type: InputType = InputType.UINT8) -> Metadata:
    return Metadata(
        class_names=tuple(f"class{index}" for index in range(CLASSES)),
        palette=tuple((index, 2 * index, 3 * index) for index in range(CLASSES)),
        input=InputSpec(
            HEIGHT,
            WIDTH,
            (0.5, 0.5, 0.5),
            (0.5, 0.5, 0.5),
            dtype=input_type,
            dynamic_batch=dynamic,
            dynamic_size=dynamic,
            multiple=UNIT,
        ),
        output=OutputKind.LABELS,
        precision=Precision.FLOAT32,
        preset="test",
        versions={"test": "1"},
    )


def miniature(dynamic: bool = False, input_type: InputType = InputType.UINT8, seed: int = 0) -> onnx.ModelProto:
    """uint8 [N, 64, 96, 3] (or float32 [N, 3, 64, 96]) to uint8 labels [N, 64, 96], through each of our operators."""
    graph = Graph(seed)
    image = "image"
    if input_type is InputType.UINT8:
        graph.node("Cast", ["image"], "floats", to=TensorProto.FLOAT)
        graph.node("Transpose", ["floats"], "planes", perm=[0, 3, 1, 2])
        graph.node("Mul", ["planes", graph.constant("scale", np.float32(1 / 127.5))], "scaled")
        image = graph.node("Add", ["scaled", graph.constant("shift", np.float32(-1))], "normal")
    stem = graph.node("Conv", [image, graph.weights("w0", 8, 3, 3, 3)], "stem", pads=[1] * 4, strides=[2, 2])
    skip = graph.node("Conv", [stem, graph.weights("w1", 6, 8, 3, 3)], "skip", pads=[1] * 4, strides=[2, 2])
    deep = graph.node("Conv", [skip, graph.weights("w2", 8, 6, 8, 8, gain=3)], "deep", strides=[8, 8])
    graph.node("GlobalAveragePool", [deep], "pooled")
    graph.node("Sigmoid", ["pooled"], "gate")
    signal = graph.node("Mul", [deep, "gate"], "signal")
    first = _theta(graph, signal, "a", pieces=4, weights=80)
    second = _theta(graph, signal, "b", pieces=1, weights=408)
    graph.ours("DPWConv", [skip, first, graph.weights("bias", 10)], "level0", kernel_shape=[1, 1], group=1,
               activation="relu", offset=0, coordinates=1)  # fmt: skip
    biases = [graph.weights(f"bias{index}", size) for index, size in enumerate((12, 12, CLASSES), start=1)]
    graph.ours("DPWInvertedResidual", [stem, second, *biases, "level0"], "level1", kernel_shape=[3, 3], offset=0,
               coordinates=1)  # fmt: skip
    graph.ours("UpsampleArgmax", ["level1"], "indices", scale=2)
    graph.node("Cast", ["indices"], "labels", to=TensorProto.UINT8)
    return _model(graph, dynamic, input_type)


def _theta(graph: Graph, signal: str, name: str, pieces: int, weights: int) -> str:
    """A 1x1 convolution whose output is cut into pieces: [N, T, N_h, N_w, P/T]."""
    made = graph.node("Conv", [signal, graph.weights(f"map_{name}", weights, 8, 1, 1)], f"made_{name}")
    split = graph.constant(f"split_{name}", np.array([0, pieces, weights // pieces], np.int64))
    size = graph.node("Shape", [made], f"size_{name}", start=2)
    shape = graph.node("Concat", [split, size], f"shape_{name}", axis=0)
    cut = graph.node("Reshape", [made, shape], f"cut_{name}")
    return graph.node("Transpose", [cut], f"theta_{name}", perm=[0, 1, 3, 4, 2])


def _model(graph: Graph, dynamic: bool, input_type: InputType) -> onnx.ModelProto:
    size: list[int | str] = ["N", "H", "W"] if dynamic else [1, HEIGHT, WIDTH]
    uint8 = input_type is InputType.UINT8
    image = [*size, 3] if uint8 else [size[0], 3, *size[1:]]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "miniature",
            [helper.make_tensor_value_info("image", TensorProto.UINT8 if uint8 else TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info("labels", TensorProto.UINT8, size)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("hyperseg", 1)],
        ir_version=8,
    )
    helper.set_model_props(model, {KEY: metadata(dynamic, input_type).to_json()})
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, str(path))
    return path


def edited(model: onnx.ModelProto, *edits: Callable[[gs.Graph], object]) -> onnx.ModelProto:
    """A copy after surgery, without the edits' return values."""
    named = ir.from_proto(model)
    unique_names(named)
    graph = to_graphsurgeon(named)
    for edit in edits:
        edit(graph)
    return to_onnx(graph, model.ir_version, {entry.key: entry.value for entry in model.metadata_props})


def halved(model: onnx.ModelProto, requested: Collection[str] = ()) -> tuple[onnx.ModelProto, Conversion]:
    """A copy in half precision, and the conversion."""
    conversions: list[Conversion] = []
    half = edited(model, lambda graph: conversions.append(to_float16(graph, requested)))
    return half, conversions[0]


def for_tensorrt(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy prepared for TensorRT's parser."""
    graph = ir.from_proto(model)
    run_passes(graph, TENSORRT.passes)
    return edited(ir.to_proto(graph), *TENSORRT.surgery)

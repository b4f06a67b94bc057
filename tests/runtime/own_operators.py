"""Models with operators of ours: the stand-in, edited. Those with DPWConv and MBConv are only read, never run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
from hyperseg_runtime.metadata import KEY, InputType, OutputKind, Precision, Target
from onnx import TensorProto, helper

from .stand_in import SIZE, metadata, write_model

DOMAIN = "hyperseg"


def write_for(path: Path, declared: Target | None, *operators: str, precision: Precision = Precision.FLOAT32) -> Path:
    """The stand-in with metadata of a target and, unconnected, one node of each named operator."""
    described = replace(metadata(OutputKind.LABELS, InputType.UINT8, SIZE), target=declared, precision=precision)
    model = onnx.load(write_model(path, properties={KEY: described.to_json()}))
    for index, operator in enumerate(operators):
        domain = "" if operator == "QuantizeLinear" else DOMAIN
        model.graph.node.append(
            helper.make_node(operator, ["normal"], [f"own_{index}"], f"decoder/{operator}_{index}", domain=domain)
        )
    path.write_bytes(model.SerializeToString())
    return path


def write_quantised(path: Path) -> Path:
    """The stand-in for the CPU, with a quantised copy of its input that nothing reads."""
    model = onnx.load(write_for(path, Target.CPU))
    model.graph.initializer.append(helper.make_tensor("step", TensorProto.FLOAT, [], [0.05]))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["normal", "step"], ["bytes"], "encoder/quantise"))
    path.write_bytes(model.SerializeToString())
    return path


def write_runnable(path: Path, target: Target | None = Target.CUDA) -> Path:
    """The stand-in with UpsampleArgmax in place of ArgMax, and its logits reshaped by a shape that is computed:

    Shape -> Gather -> Mul -> Div -> Concat -> Reshape(logits) -> UpsampleArgmax -> Cast -> labels

    Mul and Div by two keep ONNX Runtime from fusing the arithmetic into Reshape.
    """
    described = replace(metadata(OutputKind.LABELS, InputType.UINT8, SIZE, dynamic=True), target=target)
    model = onnx.load(write_model(path, dynamic=True, properties={KEY: described.to_json()}))
    graph = model.graph
    kept = [node for node in graph.node if node.op_type != "ArgMax"]
    added = [
        helper.make_node("Shape", ["logits"], ["sizes"], "decoder/shape"),
        helper.make_node("Gather", ["sizes", "indices"], ["size"], "decoder/gather"),
        helper.make_node("Mul", ["size", "two"], ["doubled"], "decoder/mul"),
        helper.make_node("Div", ["doubled", "two"], ["halved"], "decoder/div"),
        helper.make_node("Concat", ["lead", "halved"], ["wanted"], "decoder/concat", axis=0),
        helper.make_node("Reshape", ["logits", "wanted"], ["low"], "decoder/reshape"),
        helper.make_node("UpsampleArgmax", ["low"], ["top"], "decoder/UpsampleArgmax", domain=DOMAIN, scale=1),
    ]
    last = next(index for index, node in enumerate(kept) if node.name == "decoder/cast")
    del graph.node[:]
    graph.node.extend([*kept[:last], *added, *kept[last:]])
    for name, values in {"indices": [2, 3], "two": [2], "lead": [1, 12]}.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
    # ONNX Runtime does not infer the shapes of our operators; OpenVINO's plugin asks for them.
    graph.value_info.append(helper.make_tensor_value_info("top", TensorProto.INT32, ["N", "H", "W"]))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    path.write_bytes(model.SerializeToString())
    return path

"""The logits before a graph's end: which graphs have them, and how a file gets them as an output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hyperseg_runtime.discovery import PACKAGED_MODELS
from hyperseg_runtime.graph_end import low_logits_name, output_field
from hyperseg_runtime.onnx_file import GraphNode, read_nodes
from onnx import helper, numpy_helper

from .stand_in import write_model

LINEAR = {"mode": "linear"}


def node(operator: str, inputs: str, output: str, domain: str = "", **attributes: int | str) -> GraphNode:
    return GraphNode("", operator, domain, tuple(inputs.split()), (output,), attributes)


CONV = node("Conv", "image w", "x")
ARGMAX = {"axis": 1, "keepdims": 0}

ENDS = {
    "own": [CONV, node("UpsampleArgmax", "x", "i", "hyperseg", scale=2), node("Cast", "i", "labels")],
    "standard": [CONV, node("Resize", "x e s", "y", **LINEAR), node("ArgMax", "y", "i", **ARGMAX),
                 node("Cast", "i", "j"), node("Cast", "j", "labels")],
    "at the input's size": [CONV, node("ArgMax", "x", "i", **ARGMAX), node("Cast", "i", "labels")],
    "float16": [CONV, node("Cast", "x", "f"), node("Resize", "f e s", "y", **LINEAR),
                node("ArgMax", "y", "labels", axis=1)],
    "both outputs": [CONV, node("Resize", "x e s", "logits", **LINEAR), node("ArgMax", "logits", "labels", axis=1)],
    "logits alone": [CONV, node("Resize", "x e s", "l", **LINEAR), node("Cast", "l", "logits")],
    "quantised": [node("DequantizeLinear", "q s z", "x"), node("Resize", "x e s", "y", **LINEAR),
                  node("ArgMax", "y", "labels", axis=1)],
    "PyTorch's": [CONV, node("Resize", "x e s", "y", coordinate_transformation_mode="pytorch_half_pixel", **LINEAR),
                  node("Identity", "y", "z"), node("ArgMax", "z", "labels", axis=1)],
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_ends_of_exports(end: list[GraphNode]) -> None:
    assert low_logits_name(end) == "x"


def test_logits_at_the_inputs_size_are_an_output() -> None:
    assert low_logits_name([node("Conv", "image w", "logits")]) == "logits"
    assert low_logits_name([node("Conv", "image w", "logits"), node("ArgMax", "logits", "labels", axis=1)]) == "logits"


LONG = "x" * 100_000
OTHERS = {
    "no nodes": [],
    "no known output": [CONV],
    "labels of another operator": [CONV, node("TopK", "x k", "labels")],
    "labels without an arg max": [CONV, node("Cast", "x", "labels")],
    "a resized input": [node("Resize", "image e s", "y", **LINEAR), node("ArgMax", "y", "labels", axis=1)],
    "a constant": [node("ArgMax", "w", "labels", axis=1)],
    "another axis": [CONV, node("ArgMax", "x", "labels", axis=3)],
    "ArgMax's default axis": [CONV, node("ArgMax", "x", "labels")],
    "the last of ties": [CONV, node("ArgMax", "x", "labels", axis=1, select_last_index=1)],
    "our operator of another domain": [CONV, node("UpsampleArgmax", "x", "labels", "other", scale=2)],
    "their operator of our name": [CONV, node("ArgMax", "x", "labels", "other", axis=1)],
    "a cycle": [node("Cast", "a", "b"), node("Cast", "b", "a"), node("ArgMax", "a", "labels", axis=1)],
    "its own input": [node("ArgMax", "labels", "labels", axis=1)],
    "no inputs": [GraphNode("", "ArgMax", "", (), ("labels",), {"axis": 1})],
    "no inputs further up": [GraphNode("", "Resize", "", (), ("y",), {**LINEAR}),
                             node("ArgMax", "y", "labels", axis=1)],
    "an input left out": [GraphNode("", "ArgMax", "", ("",), ("labels",), {"axis": 1}),
                          GraphNode("", "X", "", (), ("",))],
}  # fmt: skip


@pytest.mark.parametrize("end", OTHERS.values(), ids=OTHERS)
def test_other_ends_have_none(end: list[GraphNode]) -> None:
    assert low_logits_name(end) is None


@pytest.mark.parametrize(
    "attributes",
    [{}, {"mode": "nearest"}, {"mode": "cubic"}, {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
     {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}],
)  # fmt: skip
def test_another_enlargement_is_not_ours(attributes: dict[str, str]) -> None:
    """What it enlarges would be enlarged in another way; after it, there are logits of the input's size."""
    end = [CONV, node("Resize", "x e s", "y", **attributes), node("ArgMax", "y", "labels", axis=1)]
    assert low_logits_name(end) == "y"


def test_only_one_enlargement_is_undone() -> None:
    end = [CONV, node("Resize", "x e s", "y", **LINEAR), node("Resize", "y e s", "z", **LINEAR),
           node("ArgMax", "z", "labels", axis=1)]  # fmt: skip
    assert low_logits_name(end) == "y"


def test_many_nodes_and_long_names() -> None:
    chain = [node("Cast", str(index), str(index + 1)) for index in range(100_000)]
    assert low_logits_name([node("Conv", "image w", "0"), *chain, node("ArgMax", "100000", "labels", axis=1)]) == "0"
    end = [node("Conv", "image w", LONG), node("ArgMax", LONG, "labels", axis=1)]
    assert low_logits_name(end) == LONG


@pytest.mark.parametrize("name", ["x", "a\0b", "größe", LONG])
def test_an_output_is_appended(name: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    appended = onnx.load_model_from_string(path.read_bytes() + output_field(name))
    assert [value.name for value in appended.graph.output] == ["labels", name]
    del appended.graph.output[-1]
    assert appended == onnx.load(str(path))


def test_attributes_are_read(tmp_path: Path) -> None:
    graph = onnx.load(str(write_model(tmp_path / "m.onnx")))
    argmax = next(each for each in graph.graph.node if each.op_type == "ArgMax")
    argmax.attribute.append(helper.make_attribute("negative", -3))
    argmax.attribute.append(helper.make_attribute("text", "größe"))
    argmax.attribute.append(helper.make_attribute("bytes", b"\xff\0"))
    argmax.attribute.append(helper.make_attribute("float", 1.5))
    argmax.attribute.append(helper.make_attribute("tensor", numpy_helper.from_array(np.arange(9))))
    onnx.save(graph, str(tmp_path / "m.onnx"))
    found = next(each for each in read_nodes(tmp_path / "m.onnx") if each.operator == "ArgMax")
    assert found.attributes == {
        "axis": 1, "keepdims": 0, "negative": -3, "text": "größe", "bytes": "\ufffd\0"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["camvid-lite.onnx", "camvid-lite.portable.onnx"])
def test_shipped_files_have_them(name: str) -> None:
    assert low_logits_name(read_nodes(PACKAGED_MODELS / name)) is not None

"""ONNX models of one operator, and the sessions that run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from vectors import AnyCase

Feeds = Mapping[str, NDArray[Any] | None]


def one_node_model(
    operator: str,
    inputs: Feeds,
    attributes: Mapping[str, Any],
    output: int = onnx.TensorProto.FLOAT,
    name: str = "the_node",
) -> onnx.ModelProto:
    """A graph of one node with dynamic shapes; inputs that are None are left out."""
    infos = [
        onnx.helper.make_tensor_value_info(
            key, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), [f"{key}{axis}" for axis in range(value.ndim)]
        )
        for key, value in inputs.items()
        if value is not None
    ]
    slots = [key if value is not None else "" for key, value in inputs.items()]
    while slots and not slots[-1]:
        slots.pop()
    node = onnx.helper.make_node(
        operator,
        slots,
        ["out"],
        name=name,
        domain="hyperseg",
        plugin_namespace="hyperseg",
        plugin_version="1",
        **attributes,
    )
    graph = onnx.helper.make_graph([node], "one", infos, [onnx.helper.make_tensor_value_info("out", output, None)])
    # IR version 9: what onnxruntime 1.17, the oldest that the operators support, still reads.
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("hyperseg", 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)


def model_of(case: AnyCase) -> onnx.ModelProto:
    labels = case.operator == "UpsampleArgmax"
    output = onnx.TensorProto.INT32 if labels else onnx.helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
    return one_node_model(case.operator, case.inputs(), case.attributes, output)


def session(model: onnx.ModelProto, library: Path, threads: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(library))
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are what some tests provoke
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, inputs: Feeds) -> Sequence[NDArray[Any]]:
    outputs: Sequence[NDArray[Any]] = session.run(None, {key: v for key, v in inputs.items() if v is not None})
    return outputs

"""ONNX models of one operator, made from the test vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES, VERSION
from hyperseg_export.passes.standard_operators import to_standard_operators
from numpy.typing import NDArray
from vectors.cases import Case, UpsampleArgmaxCase

OPSET = 18
_FIXED_AXES = {"X": {1}, "theta": {1, 4}, "previous": {1}}


def one_node(case: Case, dynamic: bool = False) -> onnx.ModelProto:
    """A graph of the case's operator alone; `dynamic` leaves batch, sizes and grid open."""
    inputs = [
        onnx.helper.make_tensor_value_info(
            name,
            onnx.helper.np_dtype_to_tensor_dtype(value.dtype),
            [
                f"{name}_{axis}" if dynamic and axis not in _FIXED_AXES.get(name, {0}) else size
                for axis, size in enumerate(value.shape)
            ],
        )
        for name, value in case.inputs().items()
        if value is not None
    ]
    labels = isinstance(case, UpsampleArgmaxCase)
    kind = onnx.TensorProto.INT32 if labels else inputs[0].type.tensor_type.elem_type
    rank = len(case.output_shape)
    shape: list[Any] = [f"Y_{axis}" for axis in range(rank)] if dynamic else list(case.output_shape)
    node = onnx.helper.make_node(
        case.operator,
        [name if value is not None else "" for name, value in case.inputs().items()],
        ["Y"],
        name="node",
        domain=DOMAIN,
        **case.attributes,
        **PLUGIN_ATTRIBUTES,
    )
    graph = onnx.helper.make_graph([node], "case", inputs, [onnx.helper.make_tensor_value_info("Y", kind, shape)])
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, VERSION)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)


def lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    result = ir.from_proto(model)
    to_standard_operators(result)
    return ir.to_proto(result)


def feeds(case: Case) -> dict[str, NDArray[np.floating]]:
    return {name: value for name, value in case.inputs().items() if value is not None}

"""Many test vectors as one ONNX model, since an engine takes seconds to build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from vectors import Case, Placement, UpsampleArgmaxCase

Tensors = dict[str, NDArray[Any]]
_AS_THE_CONTRACT_HAS_IT = Placement()


def vector_model(
    cases: Sequence[Case], *, rows: Placement = _AS_THE_CONTRACT_HAS_IT, channels_last: bool = False
) -> tuple[onnx.ModelProto, Tensors]:
    """A node for each case, with separate inputs and output; and the values of the inputs. Output: `out_INDEX`.

    Theta lies in `rows`; with `channels_last` the plugins take X as kHWC only, so TensorRT has to transpose it before.
    """
    nodes, inputs, outputs = [], [], []
    values: Tensors = {}
    for index, case in enumerate(cases):
        names = []
        for name, value in zip(case.inputs(), rows.of(case), strict=True):
            names.append("" if value is None else f"in_{index}_{name}")
            if value is not None:
                values[names[-1]] = np.ascontiguousarray(value)
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                inputs.append(helper.make_tensor_value_info(names[-1], kind, value.shape))
        kind = TensorProto.INT32 if case.operator == "UpsampleArgmax" else inputs[-1].type.tensor_type.elem_type
        outputs.append(helper.make_tensor_value_info(f"out_{index}", kind, case.output_shape))
        nodes.append(
            helper.make_node(
                case.operator,
                names,
                [f"out_{index}"],
                name=case.name,
                domain="hyperseg",
                plugin_namespace="hyperseg",
                plugin_version="1",
                **case.attributes,
                **_place(case, rows, channels_last),
            )
        )
    graph = helper.make_graph(nodes, "vectors", inputs, outputs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("hyperseg", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), values


def _place(case: Case, rows: Placement, channels_last: bool) -> dict[str, int]:
    if isinstance(case, UpsampleArgmaxCase):
        return {}
    place = {"channels_last": 1} if channels_last else {}
    if length := rows.piece_length(case):
        place |= {"piece_begin": rows.before, "piece_length": length}
    return place

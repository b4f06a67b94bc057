"""Averages over pixels in one step: the exporter's two are for ONNX Runtime's long sums, and two layers in TensorRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg_export.engine.readers import readers_of

if TYPE_CHECKING:
    from onnx import GraphProto

_AXES = "pixel_axes"


def join_averages(graph: GraphProto) -> None:
    """Rewrites an average over columns of averages over rows as one over both, in place."""
    from onnx import TensorProto, numpy_helper

    axes = {t.name: numpy_helper.to_array(t).tolist() for t in graph.initializer if t.data_type == TensorProto.INT64}
    makers = {name: node for node in graph.node for name in node.output}
    readers = readers_of(graph)
    for node in [node for node in graph.node if node.op_type == "ReduceMean" and len(node.input) == 2]:
        rows = makers.get(node.input[0])
        if rows is None or rows.op_type != "ReduceMean" or len(rows.input) != 2 or len(readers[node.input[0]]) != 1:
            continue
        if axes.get(node.input[1]) != [2] or axes.get(rows.input[1]) != [3]:
            continue
        if _AXES not in axes:
            axes[_AXES] = [2, 3]
            tensor = graph.initializer.add(name=_AXES, data_type=TensorProto.INT64, dims=[2])
            tensor.int64_data.extend(axes[_AXES])
        node.input[:] = [rows.input[0], _AXES]
        graph.node.remove(rows)

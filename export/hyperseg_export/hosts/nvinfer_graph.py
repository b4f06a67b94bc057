"""The graph as DeepStream's Gst-nvinfer runs it: planar float32 pixels in, INT32 labels out.

nvinfer resizes the frame, computes y = net-scale-factor * (x - offset) for each channel of each pixel x in 0..255, and
writes float32 [N, 3, H, W] (Gst-nvinfer, "The pre-processing function"). The scale is one number, while ours are three
standard deviations, so the graph keeps its own normalisation and takes the pixels as they are: scale 1, offsets 0.
Its outputs have type FLOAT, HALF, INT8 or INT32 (nvdsinfer.h, NvDsInferDataType), so the labels become INT32. Where it
makes the map that a parser fills, it may take height and width from the first output's three dimensions without the
batch, which it does not count (nvdsinfer_context_impl_output_parsing.cpp, fillSegmentationOutput; nvdsinfer.h,
getDimsHWCFromDims; DeepStream 6.2). So the labels get a channel.

    image uint8 [N, H, W, 3] ─► Transpose, Cast ─► Mul ─► Add ─► … ─► Cast ─► labels uint8 [N, H, W]
    image float32 [N, 3, H, W] ─────────────────► Mul ─► Add ─► … ─► Cast ─► Unsqueeze ─► labels int32 [N, H, W, 1]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx
from hyperseg_runtime.metadata import InputSpec, InputType, OutputKind
from onnx import TensorProto

from hyperseg_export.engine.model_file import ModelFile
from hyperseg_export.errors import EngineError
from hyperseg_export.options import Resolution

_LABELS = "labels"
_TO_PLANES = [0, 3, 1, 2]


@dataclass(frozen=True)
class Preprocessing:
    """What nvinfer computes for each channel: scale * (pixel - offset)."""

    scale: float
    offsets: tuple[float, float, float]


def preprocessing(spec: InputSpec, name: str = "the model") -> Preprocessing:
    """The preprocessing of a model with float input: (x / 255 - mean) / std. Raises EngineError where it is none of
    nvinfer's, which has one scale for all channels."""
    if len(set(spec.std)) > 1:
        raise EngineError(
            f"{name} takes normalised input, whose standard deviations {', '.join(map(str, spec.std))} differ, and "
            "nvinfer has one scale for all channels; export with --input-type uint8"
        )
    red, green, blue = (255.0 * mean for mean in spec.mean)
    return Preprocessing(1.0 / (255.0 * spec.std[0]), (red, green, blue))


def for_nvinfer(source: ModelFile, resolution: Resolution) -> ModelFile:
    """The model with nvinfer's input and output. Its metadata describe pixels of 0 to 255 as an input with mean 0 and
    standard deviation 1/255, which `preprocessing` and `hyperseg_runtime.preprocess.prepare` read alike.

    Args:
        source: a model with labels among its outputs; not changed.
        resolution: of the input, which nvinfer fixes. The batch stays as it is.

    Raises:
        EngineError: the model outputs logits only, or its graph does not begin or end as our exports do.
    """
    if source.metadata.output is OutputKind.LOGITS:
        raise EngineError(
            f"{source.path} outputs logits, of which nvinfer's parser loses all below -1; "
            "export it with --output-type labels"
        )
    model = onnx.ModelProto()
    model.CopyFrom(source.proto)
    spec = replace(source.metadata.input, height=resolution.height, width=resolution.width, dynamic_size=False)
    if spec.dtype is InputType.UINT8:
        _take_planes(model, str(source.path))
        spec = replace(spec, dtype=InputType.FLOAT, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
    _fix_size(model, resolution)
    _int32_labels(model, str(source.path))
    metadata = replace(source.metadata, input=spec, output=OutputKind.LABELS)
    return ModelFile(source.path, model, metadata, source.sha256)


def _take_planes(model: onnx.ModelProto, name: str) -> None:
    """Removes the Transpose and the Cast that uint8 images go through, in either order."""
    graph = model.graph
    image = graph.input[0]
    tensor, missing = image.name, {"Transpose", "Cast"}
    while missing:
        readers = [node for node in graph.node if tensor in node.input]
        if tensor == image.name:  # those of a dynamic model read its extents
            extents = [node for node in readers if node.op_type == "Shape"]
            readers = [node for node in readers if node.op_type != "Shape"]
        if len(readers) != 1 or readers[0].op_type not in missing or not _is_expected(readers[0]):
            raise _unexpected(name, f"the image's {' and '.join(sorted(missing))}")
        missing.remove(readers[0].op_type)
        tensor = readers[0].output[0]
        graph.node.remove(readers[0])
    for node in extents:
        _read_extent_of_planes(node, name)
    for node in graph.node:
        node.input[:] = [image.name if given == tensor else given for given in node.input]
    batch, height, width, channels = image.type.tensor_type.shape.dim
    shape = onnx.TensorShapeProto(dim=[batch, channels, height, width])
    image.type.tensor_type.elem_type = TensorProto.FLOAT
    image.type.tensor_type.shape.CopyFrom(shape)


def _is_expected(node: onnx.NodeProto) -> bool:
    values = _attributes(node)
    if node.op_type == "Transpose":
        return list(values.get("perm", ())) == _TO_PLANES
    return values.get("to") == TensorProto.FLOAT


def _read_extent_of_planes(node: onnx.NodeProto, name: str) -> None:
    """Changes a Shape of one extent of [N, H, W, 3] to the same extent of [N, 3, H, W]."""
    values = _attributes(node)
    start, end = values.get("start", 0), values.get("end")
    if end != start + 1 or start not in _TO_PLANES:
        raise _unexpected(name, "a Shape of one extent of the image")
    axis = _TO_PLANES.index(start)
    del node.attribute[:]
    node.attribute.extend([onnx.helper.make_attribute("start", axis), onnx.helper.make_attribute("end", axis + 1)])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _fix_size(model: onnx.ModelProto, resolution: Resolution) -> None:
    graph = model.graph
    height, width = graph.input[0].type.tensor_type.shape.dim[2:]
    height.dim_value, width.dim_value = resolution.height, resolution.width
    del graph.value_info[:]  # shapes in terms of the sizes that were open


def _int32_labels(model: onnx.ModelProto, name: str) -> None:
    """Changes labels uint8 [N, H, W] to INT32 [N, H, W, 1], and removes other outputs."""
    graph = model.graph
    cast = next((node for node in graph.node if _LABELS in node.output), None)
    if cast is None or cast.op_type != "Cast":
        raise _unexpected(name, "the labels' Cast")
    cast.attribute[0].i = TensorProto.INT32
    cast.output[0] = f"{_LABELS}_plane"
    graph.initializer.append(onnx.helper.make_tensor(f"{_LABELS}_axes", TensorProto.INT64, [1], [3]))
    graph.node.append(
        onnx.helper.make_node("Unsqueeze", [cast.output[0], f"{_LABELS}_axes"], [_LABELS], f"{_LABELS}_channel")
    )
    labels = next(value for value in graph.output if value.name == _LABELS)
    batch, size = labels.type.tensor_type.shape.dim[0], graph.input[0].type.tensor_type.shape.dim[2:]
    shape = onnx.TensorShapeProto(dim=[batch, *size, onnx.TensorShapeProto.Dimension(dim_value=1)])
    labels.type.tensor_type.elem_type = TensorProto.INT32
    labels.type.tensor_type.shape.CopyFrom(shape)
    for other in [value for value in graph.output if value is not labels and value.name != _LABELS]:
        graph.output.remove(other)


def _unexpected(name: str, what: str) -> EngineError:
    return EngineError(f"{name}: {what} was not found where hyperseg-export writes it; export the model again")

"""A tiny stand-in network with a real model's inputs, outputs and metadata, so that no export is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from hyperseg_runtime.metadata import KEY, InputSpec, InputType, Metadata, OutputKind, Precision
from onnx import TensorProto, helper, numpy_helper

SIZE = (64, 96)
NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist", "void")
PALETTE = tuple((20 * label, 255 - 20 * label, (85 * label) % 256) for label in range(len(NAMES)))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def weights() -> np.ndarray:
    """float32 [12, 3]: the logits are these times the normalised pixel."""
    return np.random.default_rng(7).normal(size=(12, 3)).astype(np.float32)


def metadata(output: OutputKind, dtype: InputType, size: tuple[int, int], dynamic: bool = False) -> Metadata:
    spec = InputSpec(*size, MEAN, STD, dtype, dynamic_batch=dynamic, dynamic_size=dynamic, multiple=32)
    return Metadata(NAMES, PALETTE, spec, output, Precision.FLOAT32, config={"stand_in": True})


def write_model(
    path: Path,
    *,
    output: OutputKind = OutputKind.LABELS,
    dtype: InputType = InputType.UINT8,
    size: tuple[int, int] = SIZE,
    dynamic: bool = False,
    fixed_batch: int = 1,
    stride: int = 1,
    properties: dict[str, str] | None = None,
) -> Path:
    """Writes normalisation, a 1x1 convolution and argmax in standard operators, with `properties` or valid metadata.

    stride: the logits are computed from averages of so many pixels in both directions, then enlarged bilinearly.
    """
    nodes, constants = [], {"w": weights().reshape(12, 3, 1, 1)}
    batch, height, width = ("N", "H", "W") if dynamic else (fixed_batch, *size)
    if dtype is InputType.UINT8:
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, height, width, 3])
        constants["scale"] = (1 / (255 * np.array(STD))).astype(np.float32).reshape(1, 3, 1, 1)
        constants["shift"] = (-np.array(MEAN) / np.array(STD)).astype(np.float32).reshape(1, 3, 1, 1)
        nodes += [
            helper.make_node("Cast", ["image"], ["cast"], "backbone/cast", to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["cast"], ["planes"], "backbone/transpose", perm=[0, 3, 1, 2]),
            helper.make_node("Mul", ["planes", "scale"], ["scaled"], "backbone/scale"),
            helper.make_node("Add", ["scaled", "shift"], ["normal"], "backbone/shift"),
        ]
    else:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, height, width])
        nodes.append(helper.make_node("Identity", ["image"], ["normal"], "backbone/identity"))
    outputs = []
    if stride == 1:
        nodes.append(helper.make_node("Conv", ["normal", "w"], ["logits"], "decoder/level_0/conv"))
    else:
        steps = [stride, stride]
        constants["scales"] = np.array([1, 1, *steps], np.float32)
        resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        nodes += [
            helper.make_node("AveragePool", ["normal"], ["pooled"], "backbone/pool", kernel_shape=steps, strides=steps),
            helper.make_node("Conv", ["pooled", "w"], ["low"], "decoder/level_0/conv"),
            helper.make_node("Resize", ["low", "", "scales"], ["logits"], "decoder/resize", **resize),
        ]
    if output is not OutputKind.LOGITS:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["top"], "decoder/argmax", axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["top"], ["labels"], "decoder/cast", to=TensorProto.UINT8))
        outputs.append(helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch, height, width]))
    if output is not OutputKind.LABELS:
        outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 12, height, width]))
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "stand_in", [image], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    props = {KEY: metadata(output, dtype, size, dynamic).to_json()} if properties is None else properties
    helper.set_model_props(model, props)
    onnx.save(model, str(path))
    return path


def expected_logits(rgb: np.ndarray) -> np.ndarray:
    """The stand-in network in numpy: uint8 RGB [h, w, 3] -> float64 logits [h, w, 12]."""
    normal = (rgb / 255.0 - np.array(MEAN)) / np.array(STD)
    return normal @ weights().T.astype(np.float64)


def may_be(rgb: np.ndarray) -> np.ndarray:
    """Allowed labels of each pixel, bool [h, w, 12]: one, or several if rounding decides between nearly equal logits.

    The pixel is scaled and shifted (three roundings of values below 3), multiplied and summed (three products).
    """
    logits = expected_logits(rgb)
    bound = (3 + 3) * 2.0**-24 * 3.0 * np.abs(weights()).sum(axis=1).max()
    return np.asarray(logits >= logits.max(axis=-1, keepdims=True) - 2 * bound)


def assert_labels(labels: np.ndarray, rgb: np.ndarray) -> None:
    """Labels [h, w] of an image of the network's own size."""
    allowed = np.take_along_axis(may_be(rgb), labels[..., None].astype(np.int64), axis=-1)
    assert allowed.all(), f"{np.count_nonzero(~allowed)} labels are not the largest logit's"

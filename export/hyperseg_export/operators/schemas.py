"""ONNX schemas of the domain `hyperseg`, for onnx.checker and shape inference."""

from __future__ import annotations

from functools import cache

import onnx
from onnx.defs import OpSchema
from onnx.shape_inference import InferenceContext

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES, VERSION

_FLOATS = ["tensor(float)", "tensor(float16)"]
_OPTIONAL = OpSchema.FormalParameterOption.Optional

_COORDINATES = "1: the operator's real input is cat(x, y, X, upsampled previous), coordinates running from -1 to 1."
_OFFSET = "Where this operator's weights begin in the sequence of pieces, for levels that share one weight mapper."
_THETA = "[N, T, N_h, N_w, L]: the weights of each patch, cut into T consecutive pieces of L."
_WINDOW = "Of the depth-wise convolution, as ONNX's Conv has it."
_WINDOW_ATTRIBUTES = ("kernel_shape", "strides", "pads")
_PREVIOUS = "[N, C_p, H/2, W/2]: upsampled bilinearly by two and appended to X."


@cache
def register() -> None:
    """Registers the operators with onnx; a second call does nothing."""
    residual = "The meta block: dynamic 1x1, depth-wise 3x3 and 1x1; each patch makes its halo with its own weights."
    meta_block = "The meta block of v0_1, on the CPU: three DPWConvs, whose halos the neighbours make."
    blocks = _meta_block("DPWInvertedResidual", residual, _FLOATS), _meta_block("DPWMetaBlock", meta_block, _FLOATS[:1])
    for schema in (_dpw_conv(), _mapped_dpw_conv(), *blocks, _upsample_argmax(), _inverted_residual()):
        onnx.defs.register_schema(schema)


def _dpw_conv() -> OpSchema:
    schema = OpSchema(
        "DPWConv",
        DOMAIN,
        VERSION,
        "Dynamic patch-wise convolution: each output pixel is computed with the weights of its patch.",
        inputs=[
            OpSchema.FormalParameter("X", "T", "[N, C_in, H, W]"),
            OpSchema.FormalParameter("theta", "T", _THETA),
            OpSchema.FormalParameter("bias", "T", "[C_out]", param_option=_OPTIONAL),
            OpSchema.FormalParameter("previous", "T", _PREVIOUS, param_option=_OPTIONAL),
        ],
        outputs=[OpSchema.FormalParameter("Y", "T", "[N, C_out, H, W]")],
        type_constraints=[("T", _FLOATS, "Storage type; sums are float32.")],
        attributes=[
            OpSchema.Attribute("kernel_shape", OpSchema.AttrType.INTS, "1x1, or odd and square."),
            *_convolution(),
        ],
    )
    schema.set_type_and_shape_inference_function(_infer_dpw_conv)
    return schema


def _mapped_dpw_conv() -> OpSchema:
    schema = OpSchema(
        "FusedMapperDPWConv",
        DOMAIN,
        VERSION,
        "A 1x1 DPWConv with the weight mapper that makes its weights, on the CPU, for patches of a few pixels.",
        inputs=[
            OpSchema.FormalParameter("X", "tensor(float)", "[N, C_in, H, W]"),
            OpSchema.FormalParameter("signal", "tensor(float)", "[N, T*K, N_h, N_w]"),
            OpSchema.FormalParameter("mapper", "tensor(float)", "[T, K, L]"),
            OpSchema.FormalParameter("bias", "tensor(float)", "[C_out]", param_option=_OPTIONAL),
            OpSchema.FormalParameter("previous", "tensor(float)", _PREVIOUS, param_option=_OPTIONAL),
        ],
        outputs=[OpSchema.FormalParameter("Y", "tensor(float)", "[N, C_out, H, W]")],
        attributes=[OpSchema.Attribute("kernel_shape", OpSchema.AttrType.INTS, "1x1."), *_convolution()],
    )
    schema.set_type_and_shape_inference_function(_infer_mapped_dpw_conv)
    return schema


def _convolution() -> list[OpSchema.Attribute]:
    return [
        _integer("group", 1, "Groups of the convolution."),
        _text("activation", "none", '"none", "relu" or "relu6".'),
        _integer("offset", 0, _OFFSET),
        _integer("coordinates", 0, _COORDINATES),
        *_plugin(),
    ]


def _meta_block(name: str, doc: str, types: list[str]) -> OpSchema:
    schema = OpSchema(
        name,
        DOMAIN,
        VERSION,
        doc,
        inputs=[
            OpSchema.FormalParameter("X", "T", "[N, C_in, H, W]"),
            OpSchema.FormalParameter("theta", "T", _THETA),
            OpSchema.FormalParameter("bias1", "T", "[hidden]"),
            OpSchema.FormalParameter("bias2", "T", "[hidden]"),
            OpSchema.FormalParameter("bias3", "T", "[C_out]"),
            OpSchema.FormalParameter("previous", "T", _PREVIOUS, param_option=_OPTIONAL),
        ],
        outputs=[OpSchema.FormalParameter("Y", "T", "[N, C_out, H, W]")],
        type_constraints=[("T", types, "Storage type; sums are float32.")],
        attributes=[
            OpSchema.Attribute("kernel_shape", OpSchema.AttrType.INTS, "3x3."),
            _integer("offset", 0, _OFFSET),
            _integer("coordinates", 0, _COORDINATES),
            *_plugin(),
        ],
    )
    schema.set_type_and_shape_inference_function(_infer_inverted_residual)
    return schema


def _upsample_argmax() -> OpSchema:
    schema = OpSchema(
        "UpsampleArgmax",
        DOMAIN,
        VERSION,
        "Bilinear upsampling (align_corners=False) and the arg max over classes, ties to the lowest index.",
        inputs=[OpSchema.FormalParameter("X", "T", "[N, C, h, w]")],
        outputs=[OpSchema.FormalParameter("labels", "tensor(int32)", "[N, h * scale, w * scale]")],
        type_constraints=[("T", _FLOATS, "Storage type.")],
        attributes=[_integer("scale", 1, "Whole factor of the upsampling."), *_plugin()],
    )
    schema.set_type_and_shape_inference_function(_infer_upsample_argmax)
    return schema


def _inverted_residual() -> OpSchema:
    names = ("expand", "depthwise", "reduce", "gate", "project")
    schema = OpSchema(
        "MBConv",
        DOMAIN,
        VERSION,
        "A block of the encoder, on the CPU: expand, depth-wise, squeeze-excite and project with their SiLUs.",
        inputs=[
            OpSchema.FormalParameter("X", "tensor(float)", "[N, C_in, H, W]"),
            *(
                OpSchema.FormalParameter(
                    f"{name}_{kind}",
                    "tensor(float)",
                    "Of a convolution, as ONNX has it.",
                    param_option=_OPTIONAL if name == "expand" else OpSchema.FormalParameterOption.Single,
                )
                for name in names
                for kind in ("weight", "bias")
            ),
        ],
        outputs=[OpSchema.FormalParameter("Y", "tensor(float)", "[N, C_out, H', W']")],
        attributes=[
            *(OpSchema.Attribute(name, OpSchema.AttrType.INTS, _WINDOW) for name in _WINDOW_ATTRIBUTES),
            _integer("residual", 0, "1: X is added to the result."),
            *_plugin(),
        ],
    )
    schema.set_type_and_shape_inference_function(_infer_encoder_block)
    return schema


def _integer(name: str, default: int, doc: str) -> OpSchema.Attribute:
    return OpSchema.Attribute(name, onnx.helper.make_attribute(name, default), doc)


def _text(name: str, default: str, doc: str) -> OpSchema.Attribute:
    return OpSchema.Attribute(name, onnx.helper.make_attribute(name, default), doc)


def _plugin() -> list[OpSchema.Attribute]:
    return [_text(name, value, "For TensorRT's parser.") for name, value in PLUGIN_ATTRIBUTES.items()]


def _infer_dpw_conv(context: InferenceContext) -> None:
    if context.has_input(2):
        _infer_map(context, channels_of=2)
        return
    theta = _shape(context, 1)
    kernel = context.get_attribute("kernel_shape")
    channels = _composed_channels(context, previous=3)
    if theta is None or kernel is None or channels is None or None in (theta[1], theta[4]):
        _infer_map(context, channels_of=None)
        return
    group, offset = context.get_attribute("group"), context.get_attribute("offset")
    groups = group.i if group else 1
    per_output = channels // groups * kernel.ints[0] * kernel.ints[1]
    weights = (theta[1] or 0) * (theta[4] or 0) - (offset.i if offset else 0)
    _infer_map(context, channels=weights // max(per_output, 1) // groups * groups)


def _infer_mapped_dpw_conv(context: InferenceContext) -> None:
    _infer_map(context, channels_of=3 if context.has_input(3) else None)


def _infer_inverted_residual(context: InferenceContext) -> None:
    _infer_map(context, channels_of=4)


def _infer_encoder_block(context: InferenceContext) -> None:
    """Height and width of the depth-wise convolution's output."""
    given, kernel = context.get_input_type(0), context.get_attribute("kernel_shape")
    strides, pads = context.get_attribute("strides"), context.get_attribute("pads")
    if given is None or kernel is None or strides is None or pads is None:
        return
    _infer_map(context, channels_of=10)
    result = context.get_output_type(0)
    if result is None or not given.tensor_type.HasField("shape"):
        return
    for axis in range(2):
        size = result.tensor_type.shape.dim[2 + axis]
        if size.HasField("dim_value"):
            padded = size.dim_value + pads.ints[axis] + pads.ints[axis + 2]
            size.dim_value = (padded - kernel.ints[axis]) // strides.ints[axis] + 1
        elif strides.ints[axis] != 1:
            size.Clear()
    context.set_output_type(0, result)


def _infer_map(context: InferenceContext, channels_of: int | None = None, channels: int | None = None) -> None:
    """Y has X's shape with other channels: the length of input number `channels_of`, or `channels`."""
    given = context.get_input_type(0)
    if given is None:
        return
    result = onnx.TypeProto()
    result.CopyFrom(given)
    if given.tensor_type.HasField("shape"):
        dimension = result.tensor_type.shape.dim[1]
        dimension.Clear()
        if channels is not None:
            dimension.dim_value = channels
        else:
            bias = None if channels_of is None else _shape(context, channels_of)
            if bias is not None and bias[0] is not None:
                dimension.dim_value = bias[0]
    context.set_output_type(0, result)


def _infer_upsample_argmax(context: InferenceContext) -> None:
    given, scale = context.get_input_type(0), context.get_attribute("scale")
    result = onnx.TypeProto()
    result.tensor_type.elem_type = onnx.TensorProto.INT32
    if given is not None and given.tensor_type.HasField("shape"):
        shape = result.tensor_type.shape
        batch, _, height, width = given.tensor_type.shape.dim
        shape.dim.add().CopyFrom(batch)
        for size in (height, width):
            dimension = shape.dim.add()
            if size.HasField("dim_value"):
                dimension.dim_value = size.dim_value * (scale.i if scale else 1)
    context.set_output_type(0, result)


def _shape(context: InferenceContext, index: int) -> list[int | None] | None:
    given = context.get_input_type(index) if context.has_input(index) else None
    if given is None or not given.tensor_type.HasField("shape"):
        return None
    return [size.dim_value if size.HasField("dim_value") else None for size in given.tensor_type.shape.dim]


def _composed_channels(context: InferenceContext, previous: int) -> int | None:
    """Channels of the composed input: coordinates, X and the upsampled previous output."""
    coordinates = context.get_attribute("coordinates")
    total = 2 if coordinates and coordinates.i else 0
    for index in (0, previous):
        if context.has_input(index):
            shape = _shape(context, index)
            if shape is None or shape[1] is None:
                return None
            total += shape[1]
    return total

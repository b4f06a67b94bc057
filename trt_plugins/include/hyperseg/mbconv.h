#pragma once

#include <cstdint>
#include <string>

#include "hyperseg/shape.h"

/// MBConv(X, expand_weight?, expand_bias?, depthwise_weight, depthwise_bias, reduce_weight, reduce_bias,
///                  gate_weight, gate_bias, project_weight, project_bias) -> Y: a block of the encoder (EfficientNet's
/// MBConv) with folded BatchNorms. On the CPU only; elsewhere it is the standard operators that it replaces.
///
///   X                [N, C_in, H, W]
///   expand_weight    [hidden, C_in, 1, 1], expand_bias [hidden]; without them hidden = C_in and h = X
///   depthwise_weight [hidden, 1, K, K], depthwise_bias [hidden]
///   reduce_weight    [squeezed, hidden, 1, 1], reduce_bias [squeezed]
///   gate_weight      [hidden, squeezed, 1, 1], gate_bias [hidden]
///   project_weight   [C_out, hidden, 1, 1], project_bias [C_out]
///   Y                [N, C_out, H', W'], H' = (H + top + bottom - K) / stride + 1
///
///   h = silu(expand X)
///   d = silu(depthwise h)                          zero-padded by `pads`, with `strides`
///   g = sigmoid(gate silu(reduce mean(d)))
///   y = project (g * d) (+ X with `residual`)
///
/// Attributes: kernel_shape ([3, 3] or [5, 5]), strides ([1, 1] or [2, 2]), pads (top, left, bottom, right), residual.
namespace hyperseg {

struct MBConvAttributes {
  int kernel_height = 3;
  int kernel_width = 3;
  int stride_height = 1;
  int stride_width = 1;
  int pad_top = 0;
  int pad_left = 0;
  int pad_bottom = 0;
  int pad_right = 0;
  bool residual = false;
};

/// The shapes of the inputs, in their order.
struct MBConvShapes {
  Shape x, expand_weight, expand_bias, depthwise_weight, depthwise_bias, reduce_weight, reduce_bias, gate_weight,
      gate_bias, project_weight, project_bias;
};

/// Kernel parameters except the pointers; created by `validate` only.
struct MBConvParams {
  int batch = 1;
  int in_channels = 1;
  int hidden_channels = 1;
  int squeezed_channels = 1;
  int out_channels = 1;
  int height = 1;
  int width = 1;
  int kernel = 3;
  int stride = 1;
  int pad_top = 0;
  int pad_left = 0;
  int out_height = 1;
  int out_width = 1;
  bool expands = true;
  bool residual = false;

  Shape output() const { return {batch, out_channels, out_height, out_width}; }
};

/// Checks shapes against attributes and fills `params`.
inline Error validate(const MBConvAttributes& attributes, const MBConvShapes& shapes, MBConvParams* params) {
  const std::string name = "MBConv";
  const int kernel = attributes.kernel_height, stride = attributes.stride_height;
  if ((kernel != 3 && kernel != 5) || attributes.kernel_width != kernel) {
    return name + ": kernel_shape is " + Shape{kernel, attributes.kernel_width}.text() + "; use [3, 3] or [5, 5]";
  }
  if ((stride != 1 && stride != 2) || attributes.stride_width != stride) {
    return name + ": strides are " + Shape{stride, attributes.stride_width}.text() + "; use [1, 1] or [2, 2]";
  }
  const int pads[] = {attributes.pad_top, attributes.pad_left, attributes.pad_bottom, attributes.pad_right};
  for (int pad : pads) {
    if (pad < 0 || pad >= kernel) return name + ": a pad is " + std::to_string(pad) + "; it must be below the kernel";
  }
  if (Error error = check_extents(name + ": X", shapes.x, 4); !error.empty()) return error;
  if (Error error = check_channels(name + ": X", shapes.x[1]); !error.empty()) return error;
  if (Error error = check_channel_vector(name + ": depthwise_bias", shapes.depthwise_bias); !error.empty()) {
    return error;
  }
  if (Error error = check_channel_vector(name + ": reduce_bias", shapes.reduce_bias); !error.empty()) return error;
  if (Error error = check_channel_vector(name + ": project_bias", shapes.project_bias); !error.empty()) return error;
  const std::int64_t in = shapes.x[1], hidden = shapes.depthwise_bias[0];
  const std::int64_t squeezed = shapes.reduce_bias[0], out = shapes.project_bias[0];
  const bool expands = !shapes.expand_weight.absent();

  const auto matches = [&](const char* input, const Shape& shape, const Shape& expected) -> Error {
    bool same = shape.rank() == expected.rank();
    for (int axis = 0; same && axis < shape.rank(); ++axis) same = shape[axis] == expected[axis];
    return same ? Error() : name + ": " + input + " has shape " + shape.text() + "; expected " + expected.text();
  };
  const Error errors[] = {
      expands ? matches("expand_weight", shapes.expand_weight, {hidden, in, 1, 1}) : Error(),
      expands ? matches("expand_bias", shapes.expand_bias, {hidden}) : Error(),
      matches("depthwise_weight", shapes.depthwise_weight, {hidden, 1, kernel, kernel}),
      matches("reduce_weight", shapes.reduce_weight, {squeezed, hidden, 1, 1}),
      matches("gate_weight", shapes.gate_weight, {hidden, squeezed, 1, 1}),
      matches("gate_bias", shapes.gate_bias, {hidden}),
      matches("project_weight", shapes.project_weight, {out, hidden, 1, 1}),
  };
  for (const Error& error : errors) {
    if (!error.empty()) return error;
  }
  if (!expands && hidden != in) {
    return name + ": without expand_weight the " + std::to_string(in) + " channels of X must be the hidden ones, not " +
           std::to_string(hidden);
  }
  const std::int64_t height = shapes.x[2] + pads[0] + pads[2] - kernel,
                     width = shapes.x[3] + pads[1] + pads[3] - kernel;
  if (height < 0 || width < 0) return name + ": X " + shapes.x.text() + " is smaller than the kernel";
  params->batch = static_cast<int>(shapes.x[0]);
  params->in_channels = static_cast<int>(in);
  params->hidden_channels = static_cast<int>(hidden);
  params->squeezed_channels = static_cast<int>(squeezed);
  params->out_channels = static_cast<int>(out);
  params->height = static_cast<int>(shapes.x[2]);
  params->width = static_cast<int>(shapes.x[3]);
  params->kernel = kernel;
  params->stride = stride;
  params->pad_top = attributes.pad_top;
  params->pad_left = attributes.pad_left;
  params->out_height = static_cast<int>(height / stride + 1);
  params->out_width = static_cast<int>(width / stride + 1);
  params->expands = expands;
  params->residual = attributes.residual;
  if (params->residual && (in != out || params->out_height != params->height || params->out_width != params->width)) {
    return name + ": residual needs an output of X's shape " + shapes.x.text() + ", not " + params->output().text();
  }
  // Offsets between channels are kept in 32 bits.
  constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();
  if (in * shapes.x[2] > kLargest / shapes.x[3] || hidden * params->out_height > kLargest / params->out_width) {
    return name + ": X " + shapes.x.text() + " with " + std::to_string(hidden) + " hidden channels is too large";
  }
  return {};
}

}  // namespace hyperseg

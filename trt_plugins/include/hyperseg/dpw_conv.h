#pragma once

#include <cstdint>
#include <string>

#include "hyperseg/activation.h"
#include "hyperseg/level_input.h"
#include "hyperseg/macros.h"
#include "hyperseg/shape.h"
#include "hyperseg/theta.h"

/// DPWConv(X, theta, bias?, previous?) -> Y: the dynamic patch-wise convolution (HyperSeg, Sec. 3.3).
///
///   X        [N, C_x, H, W], H and W multiples of the patch grid N_h x N_w
///   theta    [N, T, N_h, N_w, L], see Theta; P = C_out * C_in/group * K * K weights a patch, row-major
///            [C_out, C_in/group, K, K]
///   bias     [C_out], optional. Without it C_out follows from the number of weights from `offset` on.
///   previous [N, C_p, H/2, W/2], optional, see LevelInput
///   Y        [N, C_out, H, W]
///
/// C_in counts the channels of the composed input. Each output pixel is computed with the weights of its
/// patch, from the whole composed map, reflect-padded by K/2. Sums are in float32 for every storage type.
namespace hyperseg {

struct DPWConvAttributes {
  int kernel_height = 1;
  int kernel_width = 1;
  int group = 1;
  Activation activation = Activation::kNone;
  int offset = 0;
  bool coordinates = false;
  PieceRows rows;
};

/// Kernel parameters except the pointers; created by `validate` only.
struct DPWConvParams {
  LevelInput input;
  Theta theta;
  int out_channels = 0;
  int kernel = 1;  ///< K
  int group = 1;
  Activation activation = Activation::kNone;
  bool has_bias = false;

  HYPERSEG_HOST_DEVICE int in_channels() const { return input.channels(); }
  HYPERSEG_HOST_DEVICE int patch_height() const { return input.height / theta.grid_height; }
  HYPERSEG_HOST_DEVICE int patch_width() const { return input.width / theta.grid_width; }
  /// P
  HYPERSEG_HOST_DEVICE int weights() const { return out_channels * (in_channels() / group) * kernel * kernel; }
  Shape output() const { return {input.batch, out_channels, input.height, input.width}; }
};

/// Checks shapes against attributes and fills `params`. Absent inputs are empty shapes.
inline Error validate(const DPWConvAttributes& attributes, const Shape& x, const Shape& theta, const Shape& bias,
                      const Shape& previous, DPWConvParams* params, const std::string& name = "DPWConv") {
  const int kernel = attributes.kernel_height;
  if (kernel < 1 || kernel % 2 == 0 || kernel > 63 || kernel != attributes.kernel_width) {
    return name + ": kernel_shape is [" + std::to_string(attributes.kernel_height) + ", " +
           std::to_string(attributes.kernel_width) + "]; it must be square and odd";
  }
  if (Error error = check_extents(name + ": X", x, 4); !error.empty()) return error;
  if (Error error = read_theta(name, theta, attributes.offset, attributes.rows, x[0], &params->theta); !error.empty())
    return error;
  if (Error error =
          read_level_input(name, x, previous, attributes.coordinates, params->theta, kernel / 2, &params->input);
      !error.empty()) {
    return error;
  }
  const int in_channels = params->in_channels();
  const int group = attributes.group;
  if (group < 1 || in_channels % group != 0) {
    return name + ": " + std::to_string(in_channels) + " input channels do not divide into " + std::to_string(group) +
           " groups";
  }
  const std::int64_t per_channel = static_cast<std::int64_t>(in_channels / group) * kernel * kernel;
  std::int64_t out_channels = 0;
  if (bias.absent()) {
    out_channels = params->theta.available() / per_channel / group * group;
    if (out_channels < 1) return check_available(name, params->theta, per_channel * group, "of one channel per group");
  } else {
    if (Error error = check_channel_vector(name + ": bias", bias); !error.empty()) return error;
    out_channels = bias[0];
  }
  if (out_channels % group != 0) {
    return name + ": " + std::to_string(out_channels) + " output channels do not divide into " + std::to_string(group) +
           " groups";
  }
  const std::string formula = std::to_string(out_channels) + "*" + std::to_string(in_channels) + "/" +
                              std::to_string(group) + "*" + std::to_string(kernel) + "*" + std::to_string(kernel);
  if (Error error = check_available(name, params->theta, out_channels * per_channel, formula); !error.empty()) {
    return error;
  }
  params->out_channels = static_cast<int>(out_channels);
  params->kernel = kernel;
  params->group = group;
  params->activation = attributes.activation;
  params->has_bias = !bias.absent();
  return {};
}

}  // namespace hyperseg

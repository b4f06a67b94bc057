#pragma once

#include <cstdint>
#include <string>

#include "hyperseg/level_input.h"
#include "hyperseg/macros.h"
#include "hyperseg/shape.h"
#include "hyperseg/theta.h"

/// DPWInvertedResidual(X, theta, bias1, bias2, bias3, previous?) -> Y: the decoder's meta block (HyperSeg, Sec. 3.3).
///
///   X        [N, C_x, H, W], H and W multiples of the patch grid N_h x N_w
///   theta    [N, T, N_h, N_w, L], see Theta; P = hidden * C_in + 9 * hidden + C_out * hidden weights a patch:
///            pw1 [hidden, C_in], dw [hidden, 3, 3], pw2 [C_out, hidden], each row-major
///   bias1    [hidden], bias2 [hidden], bias3 [C_out]
///   previous [N, C_p, H/2, W/2], optional, see LevelInput
///   Y        [N, C_out, H, W]
///
/// For every patch: x is the composed input, reflect-padded by 1;
///   h = clamp(pw1 x + bias1, 0, 6)      over the patch and a halo of one pixel, all with this patch's weights
///   d = clamp(dw h + bias2, 0, 6)       3x3 depth-wise
///   y = pw2 d + bias3 (+ x if C_in == C_out)
/// The halo is recomputed with this patch's pw1; neighbouring patches never read each other's hidden values.
///
/// DPWMetaBlock has the same inputs and attributes, and is the meta block of v0_1: the depth-wise convolution reads the
/// reflect-padded map of hidden values that every patch computed with its own pw1, without a residual. On the CPU only;
/// elsewhere it is the three DPWConvs that it replaces.
namespace hyperseg {

struct DPWInvertedResidualAttributes {
  int kernel_height = 3;
  int kernel_width = 3;
  int offset = 0;
  bool coordinates = false;
  PieceRows rows;
};

/// Kernel parameters except the pointers; created by `validate` only.
struct DPWInvertedResidualParams {
  LevelInput input;
  Theta theta;
  int hidden_channels = 0;
  int out_channels = 0;

  HYPERSEG_HOST_DEVICE int in_channels() const { return input.channels(); }
  HYPERSEG_HOST_DEVICE int patch_height() const { return input.height / theta.grid_height; }
  HYPERSEG_HOST_DEVICE int patch_width() const { return input.width / theta.grid_width; }
  HYPERSEG_HOST_DEVICE bool residual() const { return in_channels() == out_channels; }
  /// Where the parts begin in the patch's P weights; pw1 begins at 0.
  HYPERSEG_HOST_DEVICE int depthwise_begin() const { return hidden_channels * in_channels(); }
  HYPERSEG_HOST_DEVICE int project_begin() const { return depthwise_begin() + 9 * hidden_channels; }
  /// P
  HYPERSEG_HOST_DEVICE int weights() const { return project_begin() + out_channels * hidden_channels; }
  Shape output() const { return {input.batch, out_channels, input.height, input.width}; }
};

/// Checks shapes against attributes and fills `params`. An absent `previous` is an empty shape; `name` is for messages.
inline Error validate(const DPWInvertedResidualAttributes& attributes, const Shape& x, const Shape& theta,
                      const Shape& bias1, const Shape& bias2, const Shape& bias3, const Shape& previous,
                      DPWInvertedResidualParams* params, const std::string& name = "DPWInvertedResidual") {
  if (attributes.kernel_height != 3 || attributes.kernel_width != 3) {
    return name + ": kernel_shape is [" + std::to_string(attributes.kernel_height) + ", " +
           std::to_string(attributes.kernel_width) + "]; only [3, 3] is defined";
  }
  if (Error error = check_extents(name + ": X", x, 4); !error.empty()) return error;
  if (Error error = read_theta(name, theta, attributes.offset, attributes.rows, x[0], &params->theta); !error.empty())
    return error;
  if (Error error = read_level_input(name, x, previous, attributes.coordinates, params->theta, 1, &params->input);
      !error.empty()) {
    return error;
  }
  if (Error error = check_channel_vector(name + ": bias1", bias1); !error.empty()) return error;
  if (Error error = check_channel_vector(name + ": bias2", bias2); !error.empty()) return error;
  if (Error error = check_channel_vector(name + ": bias3", bias3); !error.empty()) return error;
  const std::int64_t hidden = bias1[0];
  const std::int64_t out = bias3[0];
  if (bias2[0] != hidden) {
    return name + ": bias2 has " + std::to_string(bias2[0]) + " values, bias1 has " + std::to_string(hidden) +
           "; both are the hidden channels";
  }
  const int in = params->in_channels();
  const std::string formula = std::to_string(hidden) + "*" + std::to_string(in) + " + 9*" + std::to_string(hidden) +
                              " + " + std::to_string(out) + "*" + std::to_string(hidden);
  if (Error error = check_available(name, params->theta, hidden * (in + 9 + out), formula); !error.empty()) {
    return error;
  }
  params->hidden_channels = static_cast<int>(hidden);
  params->out_channels = static_cast<int>(out);
  return {};
}

}  // namespace hyperseg

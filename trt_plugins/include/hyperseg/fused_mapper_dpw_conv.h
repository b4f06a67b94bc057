#pragma once

#include <cstdint>
#include <string>

#include "hyperseg/dpw_conv.h"

/// FusedMapperDPWConv(X, signal, mapper, bias?, previous?) -> Y: a 1x1 DPWConv fused with the weight mapper that
/// computes its weights. On the CPU only, for patches of a few pixels; elsewhere it is the product and the DPWConv.
///
///   X        [N, C_x, H, W], as DPWConv has it; bias and previous too
///   signal   [N, T*K, N_h, N_w]: K values for each of the T pieces of a patch's weights
///   mapper   [T, K, L]
///   Y        [N, C_out, H, W]
///
/// The weights are theta[n, t, i, j, :] = sum_k signal[n, t*K + k, i, j] * mapper[t, k, :]. They are never computed: an
/// output is linear in them, so the mapper is applied to X first, as one dense product over all pixels,
///
///   y[o] = bias[o] + sum_k signal[t*K + k] * (mapper[t, k, row o] . x)
///
/// which costs K times the convolution, and for patches of a few pixels less than to write and read their weights.
/// Attributes: those of DPWConv; kernel_shape is [1, 1] and group 1.
namespace hyperseg {

struct FusedMapperDPWConvParams {
  DPWConvParams conv;
  int signal_length = 1;  ///< K

  /// T*K
  int signal_channels() const { return conv.theta.pieces * signal_length; }
};

/// Checks shapes against attributes and fills `params`. Absent inputs are empty shapes.
inline Error validate(const DPWConvAttributes& attributes, const Shape& x, const Shape& signal, const Shape& mapper,
                      const Shape& bias, const Shape& previous, FusedMapperDPWConvParams* params) {
  const std::string name = "FusedMapperDPWConv";
  if (attributes.kernel_height != 1 || attributes.kernel_width != 1 || attributes.group != 1) {
    return name + ": kernel_shape is " + Shape{attributes.kernel_height, attributes.kernel_width}.text() +
           " and group " + std::to_string(attributes.group) + "; only [1, 1] and 1 are defined";
  }
  if (Error error = check_extents(name + ": X", x, 4); !error.empty()) return error;
  if (Error error = check_extents(name + ": signal", signal, 4); !error.empty()) return error;
  if (Error error = check_extents(name + ": mapper", mapper, 3); !error.empty()) return error;
  if (signal[1] != mapper[0] * mapper[1]) {
    return name + ": signal has " + std::to_string(signal[1]) + " channels; mapper " + mapper.text() + " takes " +
           std::to_string(mapper[0] * mapper[1]);
  }
  const Shape theta{signal[0], mapper[0], signal[2], signal[3], mapper[2]};
  params->signal_length = static_cast<int>(mapper[1]);
  return validate(attributes, x, theta, bias, previous, &params->conv, name);
}

}  // namespace hyperseg

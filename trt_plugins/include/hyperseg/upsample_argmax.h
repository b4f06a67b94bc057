#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "hyperseg/macros.h"
#include "hyperseg/shape.h"

/// UpsampleArgmax(X) -> labels: the end of the network without full-size logits.
///
///   X      [N, C, h, w] logits
///   labels [N, h * scale, w * scale] int32: the channel with the largest value after bilinear upsampling
///          (align_corners=False); ties go to the lowest channel. scale = 1 is a plain argmax.
///
/// Interpolation is in float32 whatever the storage type.
namespace hyperseg {

struct UpsampleArgmaxAttributes {
  int scale = 1;
};

/// Kernel parameters except the pointers; created by `validate` only.
struct UpsampleArgmaxParams {
  int batch = 1;
  int channels = 1;
  int height = 1;  ///< of X
  int width = 1;   ///< of X
  int scale = 1;

  HYPERSEG_HOST_DEVICE int out_height() const { return height * scale; }
  HYPERSEG_HOST_DEVICE int out_width() const { return width * scale; }
  Shape output() const { return {batch, out_height(), out_width()}; }
};

/// Checks the shape against the attribute and fills `params`.
inline Error validate(const UpsampleArgmaxAttributes& attributes, const Shape& x, UpsampleArgmaxParams* params) {
  const std::string name = "UpsampleArgmax";
  if (attributes.scale < 1) return name + ": scale is " + std::to_string(attributes.scale) + "; it must be at least 1";
  if (Error error = check_extents(name + ": X", x, 4); !error.empty()) return error;
  constexpr std::int64_t kLargest = std::numeric_limits<int>::max();
  if (x[2] > kLargest / attributes.scale || x[3] > kLargest / attributes.scale) {
    return name + ": X " + x.text() + " is too large for scale " + std::to_string(attributes.scale);
  }
  params->batch = static_cast<int>(x[0]);
  params->channels = static_cast<int>(x[1]);
  params->height = static_cast<int>(x[2]);
  params->width = static_cast<int>(x[3]);
  params->scale = attributes.scale;
  return {};
}

}  // namespace hyperseg

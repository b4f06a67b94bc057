#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "hyperseg/macros.h"
#include "hyperseg/shape.h"
#include "hyperseg/source_lines.h"

/// UpsampleArgmax(X) -> labels: the end of the network without full-size logits.
///
///   X      [N, C, h, w] logits
///   labels [N, H, W]: the channel with the largest value after bilinear upsampling (align_corners=False); ties go to
///          the lowest channel. int32, or uint8 where C is at most 256.
///
/// The operator's form is a whole factor, H = h * scale and W = w * scale (scale = 1 is a plain argmax); the libraries'
/// is any size, larger or smaller, of a window of X with fractions (SourceLines).
///
/// Interpolation is in float32 whatever the storage type. Where a logit is NaN, or infinite at two of a pixel's source
/// pixels, its label is some channel.
namespace hyperseg {

struct UpsampleArgmaxAttributes {
  int scale = 1;
};

/// A result of any size, of the part of X that begins at (top, left), in pixels of X.
struct UpsampleArgmaxTarget {
  int out_height = 1;
  int out_width = 1;
  double top = 0.0;
  double left = 0.0;
  double height = 1.0;
  double width = 1.0;
};

/// Kernel parameters except the pointers; created by `validate` only.
struct UpsampleArgmaxParams {
  int batch = 1;
  int channels = 1;
  int height = 1;  ///< of X
  int width = 1;   ///< of X
  int scale = 1;   ///< 0: `down` and `across` are the target's
  SourceLines down;
  SourceLines across;

  HYPERSEG_HOST_DEVICE int out_height() const { return scale > 0 ? height * scale : down.count; }
  HYPERSEG_HOST_DEVICE int out_width() const { return scale > 0 ? width * scale : across.count; }
  HYPERSEG_HOST_DEVICE Interpolation row(int y) const { return scale > 0 ? interpolate(y, height, scale) : down.at(y); }
  HYPERSEG_HOST_DEVICE Interpolation column(int x) const {
    return scale > 0 ? interpolate(x, width, scale) : across.at(x);
  }
  Shape output() const { return {batch, out_height(), out_width()}; }
};

/// Checks the shape of X and fills `params` with it.
inline Error read_upsample_argmax_shape(const Shape& x, UpsampleArgmaxParams* params) {
  if (Error error = check_extents("UpsampleArgmax: X", x, 4); !error.empty()) return error;
  params->batch = static_cast<int>(x[0]);
  params->channels = static_cast<int>(x[1]);
  params->height = static_cast<int>(x[2]);
  params->width = static_cast<int>(x[3]);
  return {};
}

/// Checks the shape against the attribute and fills `params`.
inline Error validate(const UpsampleArgmaxAttributes& attributes, const Shape& x, UpsampleArgmaxParams* params) {
  const std::string name = "UpsampleArgmax";
  if (attributes.scale < 1) return name + ": scale is " + std::to_string(attributes.scale) + "; it must be at least 1";
  if (Error error = read_upsample_argmax_shape(x, params); !error.empty()) return error;
  constexpr std::int64_t kLargest = std::numeric_limits<int>::max();
  if (x[2] > kLargest / attributes.scale || x[3] > kLargest / attributes.scale) {
    return name + ": X " + x.text() + " is too large for scale " + std::to_string(attributes.scale);
  }
  params->scale = attributes.scale;
  return {};
}

/// Checks the shape against the target and fills `params`.
inline Error validate(const UpsampleArgmaxTarget& target, const Shape& x, UpsampleArgmaxParams* params) {
  if (Error error = read_upsample_argmax_shape(x, params); !error.empty()) return error;
  params->scale = 0;
  if (Error error =
          validate("UpsampleArgmax: rows", target.out_height, params->height, target.top, target.height, &params->down);
      !error.empty()) {
    return error;
  }
  return validate("UpsampleArgmax: columns", target.out_width, params->width, target.left, target.width,
                  &params->across);
}

}  // namespace hyperseg

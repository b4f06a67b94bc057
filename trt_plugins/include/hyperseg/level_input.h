#pragma once

#include <cstdint>
#include <string>

#include "hyperseg/macros.h"
#include "hyperseg/shape.h"
#include "hyperseg/source_lines.h"
#include "hyperseg/theta.h"

namespace hyperseg {

/// The map a decoder level reads, composed of up to three parts, in this order of channels:
///   coordinates: x then y, each from -1 to 1 with both ends included (only if `coordinates`);
///   X [N, x_channels, height, width];
///   `previous` [N, previous_channels, height/2, width/2], upsampled bilinearly by 2 (align_corners=False).
/// Reflect padding applies to the composed map.
struct LevelInput {
  int batch = 1;
  int height = 1;
  int width = 1;
  bool coordinates = false;
  int x_channels = 0;
  int previous_channels = 0;  ///< 0: no `previous`

  HYPERSEG_HOST_DEVICE int channels() const { return (coordinates ? 2 : 0) + x_channels + previous_channels; }
};

/// Point `i` of `extent` points from -1 to 1; -1 if there is only one. Computed from the nearer end, as PyTorch's
/// linspace does.
HYPERSEG_HOST_DEVICE inline float coordinate(int i, int extent) {
  if (extent == 1) return -1.0f;
  const float step = 2.0f / static_cast<float>(extent - 1);
  return i < extent / 2 ? -1.0f + step * static_cast<float>(i) : 1.0f - step * static_cast<float>(extent - 1 - i);
}

/// Mirrors an index that lies at most extent - 1 outside [0, extent) back inside, without repeating the edge.
HYPERSEG_HOST_DEVICE inline int reflect(int i, int extent) {
  if (i < 0) i = -i;
  return i >= extent ? 2 * (extent - 1) - i : i;
}

/// Reads X's and previous' shapes (`previous` may be absent) and checks them against the patch grid and the kernel's
/// reflect padding. `name` is the operator's.
inline Error read_level_input(const std::string& name, const Shape& x, const Shape& previous, bool coordinates,
                              const Theta& theta, int padding, LevelInput* input) {
  if (Error error = check_channels(name + ": X", x[1]); !error.empty()) return error;
  input->batch = static_cast<int>(x[0]);
  input->x_channels = static_cast<int>(x[1]);
  input->height = static_cast<int>(x[2]);
  input->width = static_cast<int>(x[3]);
  input->coordinates = coordinates;
  input->previous_channels = 0;
  const auto side = [&](const char* what, int extent, int patches, const char* lines) -> Error {
    if (extent % patches != 0) {
      return name + ": " + what + " " + std::to_string(extent) + " of X is not a multiple of the patch grid's " +
             std::to_string(patches) + " " + lines;
    }
    if (extent <= padding) {
      return name + ": " + what + " " + std::to_string(extent) + " of X is too small for reflect padding by " +
             std::to_string(padding);
    }
    return {};
  };
  if (Error error = side("height", input->height, theta.grid_height, "rows"); !error.empty()) return error;
  if (Error error = side("width", input->width, theta.grid_width, "columns"); !error.empty()) return error;
  if (previous.absent()) return {};
  if (Error error = check_extents(name + ": previous", previous, 4); !error.empty()) return error;
  if (Error error = check_channels(name + ": previous", previous[1]); !error.empty()) return error;
  if (previous[0] != x[0] || previous[2] * 2 != x[2] || previous[3] * 2 != x[3]) {
    return name + ": previous has shape " + previous.text() + "; with X " + x.text() +
           " it must have the same batch and half the height and width";
  }
  input->previous_channels = static_cast<int>(previous[1]);
  return {};
}

}  // namespace hyperseg

#pragma once

#include "divider.h"
#include "hyperseg/level_input.h"
#include "launch.h"
#include "tile.cuh"

namespace hyperseg::cuda {

/// The maps that a level's input is composed of.
template <typename T>
struct LevelPointers {
  const T* x;
  const T* previous;   ///< NCHW
  bool channels_last;  ///< x is [N, H, W, pixel], else NCHW
  Divider pixel;       ///< elements of a pixel of x, its padding included

  LevelPointers(const LevelInput& input, const void* x_map, const void* previous_map, MapLayout x_layout)
      : x(static_cast<const T*>(x_map)),
        previous(static_cast<const T*>(previous_map)),
        channels_last(x_layout != MapLayout::kNCHW),
        pixel(static_cast<unsigned>(x_layout == MapLayout::kNHWC8 ? round_up(input.x_channels, 8) : input.x_channels)) {
  }

  /// Address of image n of x.
  __device__ __forceinline__ const T* x_image(const LevelInput& input, int n) const {
    return x + static_cast<std::int64_t>(n) * static_cast<int>(pixel.divisor) * input.height *
                   static_cast<std::int64_t>(input.width);
  }

  /// Address of channel c's pixel (row, column) of image n of x.
  __device__ __forceinline__ const T* x_at(const LevelInput& input, int n, int c, int row, int column) const {
    const std::int64_t place = static_cast<std::int64_t>(row) * input.width + column;
    return x_image(input, n) + (channels_last ? place * static_cast<int>(pixel.divisor) + c
                                              : static_cast<std::int64_t>(c) * input.height * input.width + place);
  }
};

}  // namespace hyperseg::cuda

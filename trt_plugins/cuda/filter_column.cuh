#pragma once

#include "memory.cuh"
#include "tile.cuh"

namespace hyperseg::cuda {

/// The 3x3 depth-wise sums of one column of a tile. `corner` is the upper left of its window, filter[0..8] are the
/// weights and filter[9] the bias.
template <typename Shape>
__device__ __forceinline__ void filter_column(const float* corner, const float* filter,
                                              float (&result)[Shape::kHeight]) {
#pragma unroll
  for (int y = 0; y < Shape::kHeight; ++y) result[y] = filter[9];
#pragma unroll
  for (int v = 0; v < Shape::kRows; ++v) {
#pragma unroll
    for (int u = 0; u < 3; ++u) {
      const float value = corner[v * Shape::kColumns + u];
#pragma unroll
      for (int tap = 0; tap < 3; ++tap) {
        const int y = v - tap;
        if (y >= 0 && y < Shape::kHeight) result[y] = multiply_add(filter[tap * 3 + u], value, result[y]);
      }
    }
  }
}

}  // namespace hyperseg::cuda

#pragma once

#include "hyperseg/dpw_inverted_residual.h"
#include "launch.h"
#include "level_window.cuh"
#include "patch_weights.cuh"
#include "tile.cuh"

namespace hyperseg::cuda {

/// Arguments of both DPWInvertedResidual kernels.
template <typename T>
struct ResidualArguments {
  DPWInvertedResidualParams params;
  WeightLayout layout;
  Tiling tiling;
  Divider in_channels;
  Divider hidden_channels;
  LevelPointers<T> level;
  const T* theta;
  const T* bias1;
  const T* bias2;
  const T* bias3;
  T* y;

  ResidualArguments(const DPWInvertedResidualParams& operation, const Tiling& tiles,
                    const DPWInvertedResidualPointers& pointers)
      : params(operation),
        layout(operation.theta),
        tiling(tiles),
        in_channels(static_cast<unsigned>(operation.in_channels())),
        hidden_channels(static_cast<unsigned>(operation.hidden_channels)),
        level(operation.input, pointers.x, pointers.previous, pointers.x_layout),
        theta(static_cast<const T*>(pointers.theta)),
        bias1(static_cast<const T*>(pointers.bias1)),
        bias2(static_cast<const T*>(pointers.bias2)),
        bias3(static_cast<const T*>(pointers.bias3)),
        y(static_cast<T*>(pointers.y)) {}

  /// Reads all of the patch's weights once: expand(h, c, w), filter(h, tap, w), project(m, h, w).
  template <typename Expand, typename Filter, typename Project>
  __device__ __forceinline__ void for_weights(const PatchPlace& patch, Expand expand, Filter filter,
                                              Project project) const {
    const int filters = params.depthwise_begin();
    const int projections = params.project_begin();
    const PatchWeights<T> weights(layout, theta, patch.n, patch.i, patch.j);
    weights.for_each(0, params.weights(), [&](int k, T weight) {
      if (k < filters) {
        const int h = static_cast<int>(in_channels.quotient(k));
        expand(h, k - h * params.in_channels(), weight);
      } else if (k < projections) {
        const int h = (k - filters) / 9;
        filter(h, k - filters - 9 * h, weight);
      } else {
        const int m = static_cast<int>(hidden_channels.quotient(k - projections));
        project(m, k - projections - m * params.hidden_channels, weight);
      }
    });
  }

  /// Address of output channel m's pixel (y, x) in the tile.
  __device__ __forceinline__ T* output(const TilePlace& tile, int m, int row, int column) const {
    const std::int64_t line =
        (static_cast<std::int64_t>(tile.n) * params.out_channels + m) * params.input.height + tile.y + row;
    return y + line * params.input.width + tile.x + column;
  }
};

}  // namespace hyperseg::cuda

#pragma once

#include "hyperseg/dpw_conv.h"
#include "launch.h"
#include "level_window.cuh"
#include "patch_weights.cuh"
#include "tile.cuh"

namespace hyperseg::cuda {

/// Arguments of all DPWConv kernels.
template <typename T>
struct ConvArguments {
  DPWConvParams params;
  WeightLayout layout;
  Tiling tiling;
  int outs_per_block;   ///< output channels; blockIdx.y counts groups of them
  Divider row_weights;  ///< weights of one output channel
  LevelPointers<T> level;
  const T* theta;
  const T* bias;
  T* y;

  ConvArguments(const DPWConvParams& operation, const Tiling& tiles, int outs, const DPWConvPointers& pointers)
      : params(operation),
        layout(operation.theta, outs < operation.out_channels ? outs * row_of(operation) : 0),
        tiling(tiles),
        outs_per_block(outs),
        row_weights(static_cast<unsigned>(row_of(operation))),
        level(operation.input, pointers.x, pointers.previous, pointers.x_layout),
        theta(static_cast<const T*>(pointers.theta)),
        bias(static_cast<const T*>(pointers.bias)),
        y(static_cast<T*>(pointers.y)) {}

  static int row_of(const DPWConvParams& params) { return params.weights() / params.out_channels; }

  __device__ __forceinline__ int first_out() const { return blockIdx.y * outs_per_block; }
  __device__ __forceinline__ int outs() const { return min(outs_per_block, params.out_channels - first_out()); }

  /// Reads the weights of the block's output channels once: place(m, k, weight), m counted from first_out().
  template <typename Place>
  __device__ __forceinline__ void for_weights(const PatchPlace& patch, Place place) const {
    const int row = static_cast<int>(row_weights.divisor);
    const PatchWeights<T> weights(layout, theta, patch.n, patch.i, patch.j);
    weights.for_each(first_out() * row, outs() * row, [&](int k, T weight) {
      const int m = static_cast<int>(row_weights.quotient(k));
      place(m, k - m * row, weight);
    });
  }

  __device__ __forceinline__ float bias_of(int m) const {
    return params.has_bias ? to_float(load_one(bias + m)) : 0.0f;
  }

  __device__ __forceinline__ float finish(float sum) const { return activate(sum, params.activation); }

  /// Address of output channel m's pixel (row, column) of the tile.
  __device__ __forceinline__ T* output(const TilePlace& tile, int m, int row, int column) const {
    const std::int64_t line =
        (static_cast<std::int64_t>(tile.n) * params.out_channels + m) * params.input.height + tile.y + row;
    return y + line * params.input.width + tile.x + column;
  }
};

}  // namespace hyperseg::cuda

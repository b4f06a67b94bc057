#pragma once

#include "conv_arguments.cuh"
#include "filter_column.cuh"

// DPWConv 3x3 depth-wise (group = C_in = C_out).
//
// A thread block makes kChannels channels (blockIdx.y says which) of a tile. It reads their weights and their window
// once; a thread slides down one column of one channel and keeps its sums in registers.
//
// Shared memory:
//   window  float [kChannels][kLeading]
//   filter  float [kChannels][10]                        nine weights and the bias
//   scratch T     [kChannels][Shape::kPreviousWindow]    the window of `previous`, if there is one

namespace hyperseg::cuda {

template <typename Tile>
struct Depthwise {
  using Shape = Tile;
  static constexpr int kThreads = 128;
  static constexpr int kBlocks = 6;  ///< a multiprocessor; bounds the registers
  static constexpr int kChannels = kThreads / Shape::kWidth;
  /// Channels lie as many banks apart as the tile has columns, so that a warp's columns share no bank.
  static constexpr int kLeading = round_up(Shape::kWindow - Shape::kWidth, 32) + Shape::kWidth;

  static std::size_t shared_bytes(const DPWConvParams& params, std::size_t element_bytes) {
    return sizeof(float) * kChannels * (kLeading + 10) +
           (params.input.previous_channels > 0 ? element_bytes * kChannels * Shape::kPreviousWindow : 0);
  }
};

template <typename Variant, typename T>
__global__ void __launch_bounds__(Variant::kThreads, Variant::kBlocks)
    depthwise(const __grid_constant__ ConvArguments<T> arguments) {
  using Shape = typename Variant::Shape;
  const int channels = arguments.outs();
  float* window = shared<float>();
  float* filter = window + Variant::kChannels * Variant::kLeading;
  T* scratch = reinterpret_cast<T*>(filter + Variant::kChannels * 10);

  const PatchPlace patch(arguments.params.theta, arguments.tiling);
  const TilePlace tile(patch, arguments.tiling, patch.first_tile, Shape{});
  const int first = arguments.first_out();
  arguments.for_weights(patch, [&](int m, int tap, T weight) { filter[m * 10 + tap] = to_float(weight); });
  for (int m = threadIdx.x; m < channels; m += blockDim.x) filter[m * 10 + 9] = arguments.bias_of(first + m);
  load_window<Shape>(arguments.params.input, arguments.level, tile, ChannelRange{first, first + channels}, window,
                     Variant::kLeading, scratch);
  __syncthreads();

  const int m = threadIdx.x / Shape::kWidth;
  const int column = threadIdx.x % Shape::kWidth;
  if (m >= channels || column >= tile.width) return;
  float sums[Shape::kHeight];
  filter_column<Shape>(window + m * Variant::kLeading + column, filter + m * 10, sums);
#pragma unroll
  for (int y = 0; y < Shape::kHeight; ++y) {
    if (y < tile.height) store_one(arguments.output(tile, first + m, y, column), convert<T>(arguments.finish(sums[y])));
  }
}

}  // namespace hyperseg::cuda

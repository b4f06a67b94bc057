#pragma once

#include "conv_arguments.cuh"

// DPWConv 1x1 of float tensors on patches of any size.
//
// A thread block makes outs_per_block output channels of a patch, or of some tiles of it, a tile at a time. It reads
// the weights once. A thread's sums are those of 4 output channels x 4 pixels side by side, in registers.
//
// Shared memory, in floats:
//   weights [C_in][weight_leading]                    transposed; columns from outs_per_block on are zero
//   window  [C_in][kPixels]                           the tile's composed input
//   scratch [C_previous][Shape::kPreviousWindow]      the window of `previous`

namespace hyperseg::cuda {

template <typename Tile>
struct PointwiseFloat {
  using Shape = Tile;
  static constexpr int kThreads = 128;

  /// An odd number of float4: the transposed store then meets each bank at most four times.
  HYPERSEG_HOST_DEVICE static int weight_leading(int outs) {
    const int quads = (outs + 3) / 4;
    return 4 * (quads + 1 - quads % 2);
  }
  static std::size_t shared_bytes(const DPWConvParams& params, int outs) {
    const int columns = weight_leading(outs) + Shape::kPixels;
    return sizeof(float) * (params.in_channels() * columns + params.input.previous_channels * Shape::kPreviousWindow);
  }
};

/// Sums of 4 output channels x 4 pixels: sums[m][p].
__device__ __forceinline__ void multiply_quads(const float* weights, int weight_leading, const float* window,
                                               int window_leading, int in, float (&sums)[4][4]) {
#pragma unroll 4
  for (int c = 0; c < in; ++c) {
    const float4 w = *reinterpret_cast<const float4*>(weights + c * weight_leading);
    const float4 x = *reinterpret_cast<const float4*>(window + c * window_leading);
    const float weight[4] = {w.x, w.y, w.z, w.w};
    const float value[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
    for (int m = 0; m < 4; ++m) {
#pragma unroll
      for (int p = 0; p < 4; ++p) sums[m][p] = multiply_add(weight[m], value[p], sums[m][p]);
    }
  }
}

template <typename Variant>
__global__ void __launch_bounds__(Variant::kThreads)
    pointwise_float(const __grid_constant__ ConvArguments<float> arguments) {
  using Shape = typename Variant::Shape;
  constexpr int kQuads = Shape::kPixels / 4;
  const int in = arguments.params.in_channels();
  const int outs = arguments.outs();
  const int leading = Variant::weight_leading(arguments.outs_per_block);
  float* weights = shared<float>();
  float* window = weights + in * leading;
  float* scratch = window + in * Shape::kPixels;

  const PatchPlace patch(arguments.params.theta, arguments.tiling);
  arguments.for_weights(patch, [&](int m, int c, float weight) { weights[c * leading + m] = weight; });
  for (int item = threadIdx.x; item < in * (leading - outs); item += blockDim.x) {
    weights[item / (leading - outs) * leading + outs + item % (leading - outs)] = 0.0f;
  }

  const int last_tile = min(patch.first_tile + arguments.tiling.tiles_per_block, arguments.tiling.tiles);
  for (int index = patch.first_tile; index < last_tile; ++index) {
    const TilePlace tile(patch, arguments.tiling, index, Shape{});
    if (index > patch.first_tile) __syncthreads();
    load_window<Shape>(arguments.params.input, arguments.level, tile, ChannelRange{0, in}, window, Shape::kPixels,
                       scratch);
    __syncthreads();
    for (int item = threadIdx.x; item < kQuads * ((outs + 3) / 4); item += blockDim.x) {
      const int pixel = item % kQuads * 4;
      const int first = item / kQuads * 4;
      float sums[4][4] = {};
      multiply_quads(weights + first, leading, window + pixel, Shape::kPixels, in, sums);
      const int row = pixel / Shape::kWidth;
      const int column = pixel % Shape::kWidth;
      if (row >= tile.height) continue;
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        if (first + m >= outs) break;
        const int channel = arguments.first_out() + first + m;
        const float bias = arguments.bias_of(channel);
        float* target = arguments.output(tile, channel, row, column);
        Pack<float, 4> pack;
#pragma unroll
        for (int p = 0; p < 4; ++p) pack.values[p] = arguments.finish(sums[m][p] + bias);
        store_row(target, pack, tile.width - column);
      }
    }
  }
}

}  // namespace hyperseg::cuda

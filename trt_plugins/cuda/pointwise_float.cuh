#pragma once

#include "conv_arguments.cuh"

// DPWConv 1x1 of float tensors on patches of any size.
//
// A thread block makes outs_per_block output channels of a patch, or of some tiles of it, a tile at a time. It reads
// the weights once. A thread's sums are those of 4 output channels x 4 pixels side by side, in registers.
//
// Shared memory, in floats:
//   weights [C_in + 1][weight_leading]                transposed, then the bias; other columns are zero
//   window  [C_in][kPixels]                           the tile's composed input
//   scratch [C_previous][Shape::kPreviousWindow]      the window of `previous`

namespace hyperseg::cuda {

template <typename Tile>
struct PointwiseFloat {
  using Shape = Tile;
  static constexpr int kThreads = 128;
  static constexpr int kBlocks = 4;  ///< a multiprocessor; bounds the registers

  /// An odd number of float4: the transposed store then meets each bank at most four times.
  HYPERSEG_HOST_DEVICE static int weight_leading(int outs) {
    const int quads = (outs + 3) / 4;
    return 4 * (quads + 1 - quads % 2);
  }
  static std::size_t shared_bytes(const DPWConvParams& params, int outs) {
    const int columns = weight_leading(outs) + Shape::kPixels;
    return sizeof(float) * (params.in_channels() * columns + weight_leading(outs) +
                            params.input.previous_channels * Shape::kPreviousWindow);
  }
};

/// Makes kOuts output channels, first, first + 1, .. of the block's, at the four pixels from `pixel` on.
template <typename Variant, int kOuts>
__device__ __forceinline__ void multiply_quads(const ConvArguments<float>& arguments, const TilePlace& tile,
                                               const float* weights, int leading, const float* window, int first,
                                               int pixel) {
  using Shape = typename Variant::Shape;
  const int in = arguments.params.in_channels();
  const int row = pixel / Shape::kWidth;
  const int column = pixel % Shape::kWidth;
  if (row >= tile.height || column >= tile.width) return;
  float sums[kOuts][4];
#pragma unroll
  for (int m = 0; m < kOuts; ++m) {
#pragma unroll
    for (int p = 0; p < 4; ++p) sums[m][p] = weights[in * leading + first + m];
  }
#pragma unroll 4
  for (int c = 0; c < in; ++c) {
    const auto weight = *reinterpret_cast<const Pack<float, kOuts>*>(weights + c * leading + first);
    const float4 x = *reinterpret_cast<const float4*>(window + c * Shape::kPixels + pixel);
    const float value[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
    for (int m = 0; m < kOuts; ++m) {
#pragma unroll
      for (int p = 0; p < 4; ++p) sums[m][p] = multiply_add(weight.values[m], value[p], sums[m][p]);
    }
  }
#pragma unroll
  for (int m = 0; m < kOuts; ++m) {
    if (first + m >= arguments.outs()) break;
    Pack<float, 4> pack;
#pragma unroll
    for (int p = 0; p < 4; ++p) pack.values[p] = arguments.finish(sums[m][p]);
    store_row(arguments.output(tile, arguments.first_out() + first + m, row, column), pack, tile.width - column);
  }
}

template <typename Variant>
__global__ void __launch_bounds__(Variant::kThreads, Variant::kBlocks)
    pointwise_float(const __grid_constant__ ConvArguments<float> arguments) {
  using Shape = typename Variant::Shape;
  constexpr int kQuads = Shape::kPixels / 4;
  const int in = arguments.params.in_channels();
  const int outs = arguments.outs();
  const int leading = Variant::weight_leading(arguments.outs_per_block);
  float* weights = shared<float>();
  float* window = weights + (in + 1) * leading;
  float* scratch = window + in * Shape::kPixels;

  const PatchPlace patch(arguments.params.theta, arguments.tiling);
  arguments.for_weights(patch, [&](int m, int c, float weight) { weights[c * leading + m] = weight; });
  for (int m = threadIdx.x; m < leading; m += blockDim.x) {
    weights[in * leading + m] = m < outs ? arguments.bias_of(arguments.first_out() + m) : 0.0f;
  }
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
      if (outs - first > 2) {
        multiply_quads<Variant, 4>(arguments, tile, weights, leading, window, first, pixel);
      } else {
        multiply_quads<Variant, 2>(arguments, tile, weights, leading, window, first, pixel);
      }
    }
  }
}

}  // namespace hyperseg::cuda

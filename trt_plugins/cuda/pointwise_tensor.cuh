#pragma once

#include "conv_arguments.cuh"
#include "tensor_cores.cuh"

// DPWConv 1x1 of half tensors on patches of any size, on tensor cores.
//
// A thread block makes outs_per_block output channels of a patch, or of some tiles of it, a tile at a time. It reads
// the weights once. A warp's sums are those of 16 output channels and its share of the tile's pixels, in registers.
//
// Shared memory (up(n) rounds up to a multiple of 16):
//   weights half [up(outs_per_block)][half_leading(up(C_in))]   what no weight fills is zero
//   window  half [up(C_in)][kLeading]                           the tile's composed input, zeros
//   bias    float [up(outs_per_block)]
//   scratch      the window of `previous`; then the hand-over of sums to lanes

namespace hyperseg::cuda {

template <typename Tile>
struct PointwiseTensor {
  using Shape = Tile;
  static constexpr int kThreads = 128;
  static constexpr int kBlocks = 4;  ///< a multiprocessor; bounds the registers
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kPixelTiles = Shape::kPixels / kSide;
  static constexpr int kLeading = half_leading(Shape::kPixels);

  /// Offsets of the parts of shared memory, in bytes.
  struct Map {
    int depth;
    int rows;
    int weight_leading;
    int window;
    int bias;
    int scratch;
    int end;

    HYPERSEG_HOST_DEVICE Map(const DPWConvParams& params, int outs) {
      depth = (params.in_channels() + kSide - 1) / kSide * kSide;
      rows = (outs + kSide - 1) / kSide * kSide;
      weight_leading = half_leading(depth);
      window = rows * weight_leading * 2;
      bias = window + depth * kLeading * 2;
      scratch = bias + rows * 4;
      const int previous = params.input.previous_channels * Shape::kPreviousWindow * 2;
      const int hand_over = kWarps * kHandOver * 4;
      end = scratch + (previous > hand_over ? previous : hand_over);
    }
  };

  static std::size_t shared_bytes(const DPWConvParams& params, int outs) {
    return static_cast<std::size_t>(Map(params, outs).end);
  }
};

template <typename Variant>
__global__ void __launch_bounds__(Variant::kThreads, Variant::kBlocks)
    pointwise_tensor(const __grid_constant__ ConvArguments<__half> arguments) {
  using Shape = typename Variant::Shape;
  const int in = arguments.params.in_channels();
  const int outs = arguments.outs();
  const typename Variant::Map map(arguments.params, arguments.outs_per_block);
  unsigned char* memory = shared<unsigned char>();
  __half* weights = reinterpret_cast<__half*>(memory);
  __half* window = reinterpret_cast<__half*>(memory + map.window);
  float* bias = reinterpret_cast<float*>(memory + map.bias);
  const __half zero = __float2half_rn(0.0f);

  const PatchPlace patch(arguments.params.theta, arguments.tiling);
  arguments.for_weights(patch, [&](int m, int c, __half weight) { weights[m * map.weight_leading + c] = weight; });
  for (int m = threadIdx.x; m < outs; m += blockDim.x) bias[m] = arguments.bias_of(arguments.first_out() + m);
  for (int item = threadIdx.x; item < map.rows * map.depth; item += blockDim.x) {
    const int m = item / map.depth;
    const int c = item % map.depth;
    if (m >= outs || c >= in) weights[m * map.weight_leading + c] = zero;
  }
  for (int item = threadIdx.x; item < (map.depth - in) * Variant::kLeading; item += blockDim.x) {
    window[in * Variant::kLeading + item] = zero;
  }

  const int last_tile = min(patch.first_tile + arguments.tiling.tiles_per_block, arguments.tiling.tiles);
  for (int index = patch.first_tile; index < last_tile; ++index) {
    const TilePlace tile(patch, arguments.tiling, index, Shape{});
    if (index > patch.first_tile) __syncthreads();
    load_window<Shape>(arguments.params.input, arguments.level, tile, ChannelRange{0, in}, window, Variant::kLeading,
                       reinterpret_cast<__half*>(memory + map.scratch));
    __syncthreads();
    for (int first = 0; first < outs; first += kSide) {
      SumFragment sums[1][Variant::kPixelTiles / Variant::kWarps];
      clear(sums);
      multiply(weights + first * map.weight_leading, map.weight_leading, window, Variant::kLeading, map.depth,
               Variant::kPixelTiles, sums);
      finish_tiles(sums, Variant::kPixelTiles, reinterpret_cast<float*>(memory + map.scratch),
                   [&](int m, int pixel, const float* run) {
                     const int row = pixel / Shape::kWidth;
                     const int column = pixel % Shape::kWidth;
                     if (first + m >= outs || row >= tile.height || column >= tile.width) return;
                     const int channel = arguments.first_out() + first + m;
                     Pack<__half, kRun> pack;
#pragma unroll
                     for (int p = 0; p < kRun; ++p)
                       pack.values[p] = __float2half_rn(arguments.finish(run[p] + bias[first + m]));
                     store_row(arguments.output(tile, channel, row, column), pack, tile.width - column);
                   });
    }
  }
}

}  // namespace hyperseg::cuda

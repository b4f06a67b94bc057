#pragma once

#include "filter_column.cuh"
#include "residual_arguments.cuh"
#include "tensor_cores.cuh"

// DPWInvertedResidual for half tensors, with both 1x1 products on tensor cores.
//
// A thread block makes up to 16 * kRowTiles output channels (blockIdx.y says which) of a patch, a tile at a time. It
// reads the patch's weights once. For every tile it loads the window of the composed input and then, 16 hidden channels
// at a time,
//   expand:  pw1 times the whole window on tensor cores. The window has a channel of ones behind the others and pw1 a
//            column bias1, so the sums come with their bias; the clamp needs no position and is done in the fragments;
//   filter:  dw in float, eight threads a channel, sliding down the columns;
//   project: pw2 times the filtered values on tensor cores, onto sums that stay in registers. The filtered values enter
//            as two halves each, value and remainder, so that nothing is lost to half's 11 bits.
//
// Shared memory (C_in composed, C_h hidden channels; up(n) rounds up to a multiple of 16):
//   window  half  [up(C_in + 1)][kWindowLeading]         composed input, ones, zeros
//   expand  half  [up(C_h)][half_leading(up(C_in + 1))]  pw1 | bias1 | zeros
//   project half  [16 * kRowTiles][half_leading(up(C_h))]
//   filter  float [up(C_h)][12]                          dw's 9 weights, bias2, two unused
//   bias    float [16 * kRowTiles]                       bias3
//   hidden  float [16][kHiddenLeading]                   the expanded chunk; in turns the window of `previous`, the
//                                                        filtered chunk (half [2][16][kFilteredLeading]), and the
//                                                        output tiles of the warps

namespace hyperseg::cuda {

template <typename Tile, int kRowTileCount>
struct TensorResidual {
  using Shape = Tile;
  static constexpr int kRowTiles = kRowTileCount;
  static constexpr int kOuts = kSide * kRowTiles;
  static constexpr int kThreads = 128;
  static constexpr int kBlocks = 4;  ///< a multiprocessor: 128 registers a thread
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kWindowTiles = round_up(Shape::kWindow, kSide) / kSide;
  static constexpr int kPixelTiles = Shape::kPixels / kSide;
  static constexpr int kWindowLeading = half_leading(kWindowTiles * kSide);
  /// Threads of a warp filter 4 channels x 8 columns: channels lie 8 banks apart.
  static constexpr int kHiddenLeading = round_up(kWindowTiles * kSide - 8, 32) + 8;
  static constexpr int kFilteredLeading = half_leading(Shape::kPixels);
  static constexpr int kColumnThreads = kThreads / kSide;

  /// Offsets of the parts of shared memory, in bytes.
  struct Map {
    int depth;  ///< rows of the window
    int hidden_rows;
    int expand_leading;
    int project_leading;
    int expand;
    int project;
    int filter;
    int bias;
    int hidden;
    int end;

    HYPERSEG_HOST_DEVICE explicit Map(const DPWInvertedResidualParams& params) {
      depth = up(params.in_channels() + 1);
      hidden_rows = up(params.hidden_channels);
      expand_leading = half_leading(depth);
      project_leading = half_leading(hidden_rows);
      expand = depth * kWindowLeading * 2;
      project = expand + hidden_rows * expand_leading * 2;
      filter = project + kOuts * project_leading * 2;
      bias = filter + hidden_rows * 12 * 4;
      hidden = bias + kOuts * 4;
      const int chunk = kSide * kHiddenLeading * 4;
      const int previous = params.input.previous_channels * Shape::kPreviousWindow * 2;
      end = hidden + (chunk > previous ? chunk : previous);
    }
    HYPERSEG_HOST_DEVICE static int up(int channels) { return (channels + kSide - 1) / kSide * kSide; }
  };
  static_assert(2 * kFilteredLeading * 2 <= kHiddenLeading * 4);
  static_assert(kWarps * kHandOver <= kSide * kHiddenLeading);

  static std::size_t shared_bytes(const DPWInvertedResidualParams& params) {
    return static_cast<std::size_t>(Map(params).end);
  }
};

/// expand, project and filter of the patch, with the biases; what no weight fills is zero.
template <typename Variant>
__device__ __forceinline__ void stage_tensor_weights(const ResidualArguments<__half>& arguments,
                                                     const typename Variant::Map& map, const PatchPlace& patch,
                                                     int first_out, unsigned char* memory) {
  const int in = arguments.params.in_channels();
  const int hidden = arguments.params.hidden_channels;
  const int outs = min(Variant::kOuts, arguments.params.out_channels - first_out);
  __half* expand = reinterpret_cast<__half*>(memory + map.expand);
  __half* project = reinterpret_cast<__half*>(memory + map.project);
  float* filter = reinterpret_cast<float*>(memory + map.filter);
  const __half zero = __float2half_rn(0.0f);
  const int unused_inputs = map.depth - in - 1;
  for (int item = threadIdx.x; item < hidden * unused_inputs; item += blockDim.x) {
    expand[item / unused_inputs * map.expand_leading + in + 1 + item % unused_inputs] = zero;
  }
  for (int item = threadIdx.x; item < (map.hidden_rows - hidden) * map.depth; item += blockDim.x) {
    expand[(hidden + item / map.depth) * map.expand_leading + item % map.depth] = zero;
  }
  for (int item = threadIdx.x; item < Variant::kOuts * map.hidden_rows; item += blockDim.x) {
    const int m = item / map.hidden_rows;
    const int h = item % map.hidden_rows;
    if (m >= outs || h >= hidden) project[m * map.project_leading + h] = zero;
  }
  for (int h = threadIdx.x; h < hidden; h += blockDim.x) {
    expand[h * map.expand_leading + in] = load_one(arguments.bias1 + h);
    filter[h * 12 + 9] = to_float(load_one(arguments.bias2 + h));
  }
  for (int m = threadIdx.x; m < outs; m += blockDim.x) {
    reinterpret_cast<float*>(memory + map.bias)[m] = to_float(load_one(arguments.bias3 + first_out + m));
  }
  arguments.for_weights(
      patch, [&](int h, int c, __half weight) { expand[h * map.expand_leading + c] = weight; },
      [&](int h, int tap, __half weight) { filter[h * 12 + tap] = to_float(weight); },
      [&](int m, int h, __half weight) {
        if (m >= first_out && m < first_out + outs) project[(m - first_out) * map.project_leading + h] = weight;
      });
}

/// The rows behind the composed channels: ones for the bias, then zeros.
template <typename Variant>
__device__ __forceinline__ void fill_constant_rows(const typename Variant::Map& map, int in, __half* window) {
  for (int item = threadIdx.x; item < (map.depth - in) * Variant::kWindowLeading; item += blockDim.x) {
    window[in * Variant::kWindowLeading + item] = __float2half_rn(item < Variant::kWindowLeading ? 1.0f : 0.0f);
  }
}

/// hidden[16][window pixel] = clamp(expand * window).
template <typename Variant>
__device__ __forceinline__ void expand_sixteen(const __half* expand, int expand_leading, const __half* window,
                                               int depth, float* hidden) {
  constexpr int kTiles = (Variant::kWindowTiles + Variant::kWarps - 1) / Variant::kWarps;
  SumFragment sums[1][kTiles];
  clear(sums);
  multiply(expand, expand_leading, window, Variant::kWindowLeading, depth, Variant::kWindowTiles, sums);
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    const int tile = threadIdx.x / 32 + n * Variant::kWarps;
    if (tile >= Variant::kWindowTiles) break;
#pragma unroll
    for (int element = 0; element < SumFragment::num_elements; ++element) {
      sums[0][n].x[element] = relu6(sums[0][n].x[element]);
    }
    nvcuda::wmma::store_matrix_sync(hidden + tile * kSide, sums[0][n], Variant::kHiddenLeading,
                                    nvcuda::wmma::mem_row_major);
  }
}

/// Replaces the hidden chunk by the filtered one, as halves: [0] the values, [1] what rounding them lost.
template <typename Variant>
__device__ __forceinline__ void filter_sixteen(const float* filter, int channels, float* hidden) {
  using Shape = typename Variant::Shape;
  constexpr int kColumnsEach = Shape::kWidth / Variant::kColumnThreads;
  const int h = threadIdx.x / Variant::kColumnThreads;
  const int first = threadIdx.x % Variant::kColumnThreads;
  float filtered[kColumnsEach][Shape::kHeight] = {};
  if (h < channels) {
#pragma unroll
    for (int i = 0; i < kColumnsEach; ++i) {
      const int column = first + i * Variant::kColumnThreads;
      filter_column<Shape>(hidden + h * Variant::kHiddenLeading + column, filter + h * 12, filtered[i]);
    }
  }
  __syncthreads();
  __half* values = reinterpret_cast<__half*>(hidden) + h * Variant::kFilteredLeading;
  __half* remainders = values + kSide * Variant::kFilteredLeading;
#pragma unroll
  for (int i = 0; i < kColumnsEach; ++i) {
#pragma unroll
    for (int y = 0; y < Shape::kHeight; ++y) {
      const int pixel = y * Shape::kWidth + first + i * Variant::kColumnThreads;
      const float sum = relu6(filtered[i][y]);
      const __half value = __float2half_rn(sum);
      values[pixel] = value;
      remainders[pixel] = __float2half_rn(sum - __half2float(value));
    }
  }
}

template <typename Variant>
__global__ void __launch_bounds__(Variant::kThreads, Variant::kBlocks)
    dpw_inverted_residual_tensor(const __grid_constant__ ResidualArguments<__half> arguments) {
  using Shape = typename Variant::Shape;
  constexpr int kTiles = Variant::kPixelTiles / Variant::kWarps;
  const DPWInvertedResidualParams& params = arguments.params;
  const int in = params.in_channels();
  const int first_out = blockIdx.y * Variant::kOuts;
  const int outs = min(Variant::kOuts, params.out_channels - first_out);
  const typename Variant::Map map(params);
  unsigned char* memory = shared<unsigned char>();
  __half* window = reinterpret_cast<__half*>(memory);
  const __half* expand = reinterpret_cast<const __half*>(memory + map.expand);
  const __half* project = reinterpret_cast<const __half*>(memory + map.project);
  const float* filter = reinterpret_cast<const float*>(memory + map.filter);
  const float* bias = reinterpret_cast<const float*>(memory + map.bias);
  float* hidden = reinterpret_cast<float*>(memory + map.hidden);
  const __half* filtered = reinterpret_cast<const __half*>(hidden);

  const PatchPlace patch(params.theta, arguments.tiling);
  stage_tensor_weights<Variant>(arguments, map, patch, first_out, memory);
  fill_constant_rows<Variant>(map, in, window);

  const int last_tile = min(patch.first_tile + arguments.tiling.tiles_per_block, arguments.tiling.tiles);
  for (int index = patch.first_tile; index < last_tile; ++index) {
    const TilePlace tile(patch, arguments.tiling, index, Shape{});
    load_window<Shape>(params.input, arguments.level, tile, ChannelRange{0, in}, window, Variant::kWindowLeading,
                       reinterpret_cast<__half*>(hidden));
    __syncthreads();

    SumFragment sums[Variant::kRowTiles][kTiles];
    clear(sums);
    for (int first = 0; first < params.hidden_channels; first += kSide) {
      expand_sixteen<Variant>(expand + first * map.expand_leading, map.expand_leading, window, map.depth, hidden);
      __syncthreads();
      filter_sixteen<Variant>(filter + first * 12, params.hidden_channels - first, hidden);
      __syncthreads();
      for (int part = 0; part < 2; ++part) {
        multiply(project + first, map.project_leading, filtered + part * kSide * Variant::kFilteredLeading,
                 Variant::kFilteredLeading, kSide, Variant::kPixelTiles, sums);
      }
      __syncthreads();
    }

    finish_tiles(sums, Variant::kPixelTiles, hidden, [&](int m, int pixel, const float* run) {
      const int row = pixel / Shape::kWidth;
      const int column = pixel % Shape::kWidth;
      if (m >= outs || row >= tile.height || column >= tile.width) return;
      const __half* skipped =
          window + (first_out + m) * Variant::kWindowLeading + (row + 1) * Shape::kColumns + column + 1;
      Pack<__half, kRun> pack;
#pragma unroll
      for (int p = 0; p < kRun; ++p) {
        pack.values[p] = __float2half_rn(run[p] + bias[m] + (params.residual() ? to_float(skipped[p]) : 0.0f));
      }
      store_row(arguments.output(tile, first_out + m, row, column), pack, tile.width - column);
    });
    __syncthreads();
  }
}

}  // namespace hyperseg::cuda

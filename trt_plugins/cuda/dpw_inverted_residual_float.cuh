#pragma once

#include "residual_arguments.cuh"

// DPWInvertedResidual on CUDA cores, for float tensors.
//
// A thread block makes up to kOuts output channels (blockIdx.y says which) of a patch, a tile at a time. It reads the
// patch's weights once. For every tile it loads the window of the composed input and then, kChunk hidden channels at a
// time,
//   expand:  pw1 over the whole window, 4 channels x 4 pixels a thread, into shared memory;
//   project: a thread owns two pixels, one above the other, and every kSlices-th channel of the chunk; it filters them
//            (dw) in registers and adds the result, times pw2, to its output sums, in registers too.
// At the end the slices' sums are added through shared memory.
//
// Shared memory, in floats (C_in composed, C_h hidden channels):
//   window  [C_in][kLeading]             composed input; at the end [kSlices - 1][kOuts][kPixels], the slices' sums
//   expand  [C_in + 1][expand_leading]   pw1 transposed, then bias1
//   filter  [C_h][12]                    dw's 9 weights, bias2, two unused
//   project [C_h + 1][kOuts]             pw2 transposed, then bias3
//   hidden  [kChunk][kLeading]           the expanded chunk; while the window is loaded, the window of `previous`

namespace hyperseg::cuda {

template <typename Tile, int kSliceCount, int kChunkChannels, int kOutChannels>
struct FloatResidual {
  using Shape = Tile;
  static constexpr int kSlices = kSliceCount;
  static constexpr int kChunk = kChunkChannels;
  static constexpr int kOuts = kOutChannels;
  static constexpr int kLeading = round_up(Shape::kWindow, 4);
  static constexpr int kOwners = Shape::kPixels / 2;
  static constexpr int kThreads = kOwners * kSlices;
  static constexpr int kBlocks = 512 / kThreads;  ///< a multiprocessor: 128 registers a thread
  static_assert(kChunk % 4 == 0 && kChunk % kSlices == 0 && kOuts % 4 == 0);

  /// Offsets of the parts of shared memory.
  struct Map {
    int expand_leading;
    int expand;
    int filter;
    int project;
    int hidden;
    int end;

    HYPERSEG_HOST_DEVICE explicit Map(const DPWInvertedResidualParams& params) {
      const int in = params.in_channels();
      const int channels = params.hidden_channels;
      // An odd number of float4 a row: the transposed store then meets each bank at most four times.
      const int quads = (channels + 3) / 4;
      expand_leading = 4 * (quads + 1 - quads % 2);
      expand = larger(in * kLeading, (kSlices - 1) * kOuts * Shape::kPixels);
      filter = expand + (in + 1) * expand_leading;
      project = filter + channels * 12;
      hidden = project + (channels + 1) * kOuts;
      end = hidden + larger(kChunk * kLeading, params.input.previous_channels * Shape::kPreviousWindow);
    }
    HYPERSEG_HOST_DEVICE static int larger(int a, int b) { return a > b ? a : b; }
  };

  static std::size_t shared_bytes(const DPWInvertedResidualParams& params) { return sizeof(float) * Map(params).end; }
};

/// expand, filter and project of the patch, with the biases; unused columns are zero.
template <typename Variant>
__device__ __forceinline__ void stage_weights(const ResidualArguments<float>& arguments,
                                              const typename Variant::Map& map, const PatchPlace& patch, int first_out,
                                              float* memory) {
  const DPWInvertedResidualParams& params = arguments.params;
  const int in = params.in_channels();
  const int hidden = params.hidden_channels;
  const int outs = min(Variant::kOuts, params.out_channels - first_out);
  float* expand = memory + map.expand;
  float* filter = memory + map.filter;
  float* project = memory + map.project;
  arguments.for_weights(
      patch, [&](int h, int c, float weight) { expand[c * map.expand_leading + h] = weight; },
      [&](int h, int tap, float weight) { filter[h * 12 + tap] = weight; },
      [&](int m, int h, float weight) {
        if (m >= first_out && m < first_out + outs) project[h * Variant::kOuts + m - first_out] = weight;
      });
  for (int h = threadIdx.x; h < map.expand_leading; h += blockDim.x) {
    expand[in * map.expand_leading + h] = h < hidden ? load_one(arguments.bias1 + h) : 0.0f;
    if (h < hidden) {
      filter[h * 12 + 9] = load_one(arguments.bias2 + h);
      continue;
    }
    for (int c = 0; c < in; ++c) expand[c * map.expand_leading + h] = 0.0f;
  }
  for (int m = threadIdx.x; m < Variant::kOuts; m += blockDim.x) {
    project[hidden * Variant::kOuts + m] = m < outs ? load_one(arguments.bias3 + first_out + m) : 0.0f;
    if (m < outs) continue;
    for (int h = 0; h < hidden; ++h) project[h * Variant::kOuts + m] = 0.0f;
  }
}

/// hidden[g][window pixel] of channels first, first + 1, ... of the chunk.
template <typename Variant>
__device__ __forceinline__ void expand_chunk(const float* window, const float* expand, int expand_leading, int in,
                                             int first, int channels, float* hidden) {
  constexpr int kGroups = Variant::kChunk / 4;
  constexpr int kItems = kGroups * (Variant::kLeading / 4);
  for (int item = threadIdx.x; item < kItems; item += blockDim.x) {
    const int group = item % kGroups * 4;
    const int pixel = item / kGroups * 4;
    if (first + group >= channels) continue;
    const float* weights = expand + first + group;
    const float4 bias = *reinterpret_cast<const float4*>(weights + in * expand_leading);
    float sums[4][4];
#pragma unroll
    for (int p = 0; p < 4; ++p) sums[0][p] = bias.x, sums[1][p] = bias.y, sums[2][p] = bias.z, sums[3][p] = bias.w;
#pragma unroll 2
    for (int c = 0; c < in; ++c) {
      const float4 w = *reinterpret_cast<const float4*>(weights + c * expand_leading);
      const float4 x = *reinterpret_cast<const float4*>(window + c * Variant::kLeading + pixel);
      const float weight[4] = {w.x, w.y, w.z, w.w};
      const float value[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
      for (int h = 0; h < 4; ++h) {
#pragma unroll
        for (int p = 0; p < 4; ++p) sums[h][p] = multiply_add(weight[h], value[p], sums[h][p]);
      }
    }
#pragma unroll
    for (int h = 0; h < 4; ++h) {
      *reinterpret_cast<float4*>(hidden + (group + h) * Variant::kLeading + pixel) =
          make_float4(relu6(sums[h][0]), relu6(sums[h][1]), relu6(sums[h][2]), relu6(sums[h][3]));
    }
  }
}

/// Filters one hidden channel at two pixels, one above the other; `corner` is the upper left of their 4x3 window.
template <int kColumns>
__device__ __forceinline__ void filter_two(const float* corner, const Floats<12>& filter, float (&result)[2]) {
  result[0] = result[1] = filter.values[9];
#pragma unroll
  for (int v = 0; v < 4; ++v) {
#pragma unroll
    for (int u = 0; u < 3; ++u) {
      const float value = corner[v * kColumns + u];
      if (v < 3) result[0] = multiply_add(filter.values[v * 3 + u], value, result[0]);
      if (v > 0) result[1] = multiply_add(filter.values[(v - 1) * 3 + u], value, result[1]);
    }
  }
  result[0] = relu6(result[0]);
  result[1] = relu6(result[1]);
}

template <typename Variant>
__global__ void __launch_bounds__(Variant::kThreads, Variant::kBlocks)
    dpw_inverted_residual_float(const __grid_constant__ ResidualArguments<float> arguments) {
  using Shape = typename Variant::Shape;
  constexpr int kOuts = Variant::kOuts;
  const DPWInvertedResidualParams& params = arguments.params;
  const int in = params.in_channels();
  const int hidden_channels = params.hidden_channels;
  const int first_out = blockIdx.y * kOuts;
  const int outs = min(kOuts, params.out_channels - first_out);
  const typename Variant::Map map(params);
  float* window = shared<float>();
  float* hidden = window + map.hidden;

  const int slice = threadIdx.x / Variant::kOwners;
  const int owner = threadIdx.x % Variant::kOwners;
  const int column = owner % Shape::kWidth;
  // Half a warp reads 16 neighbours; the other half's rows are 16 banks away, not next to them.
  const int row =
      2 * (Shape::kWidth == 16 ? owner / 32 + owner / 16 % 2 * (Shape::kHeight / 4) : owner / Shape::kWidth);

  const PatchPlace patch(params.theta, arguments.tiling);
  stage_weights<Variant>(arguments, map, patch, first_out, window);

  const int last_tile = min(patch.first_tile + arguments.tiling.tiles_per_block, arguments.tiling.tiles);
  for (int index = patch.first_tile; index < last_tile; ++index) {
    const TilePlace tile(patch, arguments.tiling, index, Shape{});
    load_window<Shape>(params.input, arguments.level, tile, ChannelRange{0, in}, window, Variant::kLeading, hidden);
    __syncthreads();

    float sums[2][kOuts];
#pragma unroll
    for (int m = 0; m < kOuts; ++m) {
      const float bias = window[map.project + hidden_channels * kOuts + m];
#pragma unroll
      for (int p = 0; p < 2; ++p) {
        sums[p][m] = slice > 0 ? 0.0f : bias;
        if (slice == 0 && params.residual() && m < outs) {
          sums[p][m] += window[(first_out + m) * Variant::kLeading + (row + p + 1) * Shape::kColumns + column + 1];
        }
      }
    }

    for (int first = 0; first < hidden_channels; first += Variant::kChunk) {
      expand_chunk<Variant>(window, window + map.expand, map.expand_leading, in, first, hidden_channels, hidden);
      __syncthreads();
      const int chunk = min(Variant::kChunk, hidden_channels - first);
#pragma unroll 1
      for (int h = slice; h < chunk; h += Variant::kSlices) {
        float filtered[2];
        filter_two<Shape::kColumns>(hidden + h * Variant::kLeading + row * Shape::kColumns + column,
                                    shared_quads<12>(window + map.filter + (first + h) * 12), filtered);
        const auto project = shared_quads<kOuts>(window + map.project + (first + h) * kOuts);
#pragma unroll
        for (int m = 0; m < kOuts; ++m) {
          sums[0][m] = multiply_add(project.values[m], filtered[0], sums[0][m]);
          sums[1][m] = multiply_add(project.values[m], filtered[1], sums[1][m]);
        }
      }
      __syncthreads();
    }

    // The window is no longer needed: it takes the other slices' sums.
    float* others = window + row * Shape::kWidth + column;
    if (slice > 0) {
#pragma unroll
      for (int m = 0; m < kOuts; ++m) {
        others[((slice - 1) * kOuts + m) * Shape::kPixels] = sums[0][m];
        others[((slice - 1) * kOuts + m) * Shape::kPixels + Shape::kWidth] = sums[1][m];
      }
    }
    __syncthreads();
    if (slice == 0 && column < tile.width) {
      // One pointer that walks: an address for every channel would cost more registers than there are.
      float* target = arguments.output(tile, first_out, row, column);
      const std::int64_t plane = static_cast<std::int64_t>(params.input.height) * params.input.width;
#pragma unroll
      for (int m = 0; m < kOuts; ++m, target += plane) {
        if (m >= outs) break;
#pragma unroll
        for (int p = 0; p < 2; ++p) {
          if (row + p >= tile.height) break;
          float sum = sums[p][m];
          for (int s = 0; s < Variant::kSlices - 1; ++s) {
            sum += others[(s * kOuts + m) * Shape::kPixels + p * Shape::kWidth];
          }
          store_one(target + p * params.input.width, sum);
        }
      }
    }
    if (index + 1 < last_tile) __syncthreads();
  }
}

}  // namespace hyperseg::cuda

#include "divider.h"
#include "launch.h"
#include "launcher.h"
#include "memory.cuh"
#include "tile.cuh"

// UpsampleArgmax: the labels of a map that is never upsampled in memory.
//
// A thread block makes a tile of kRows x kColumns labels of one image. It works through the channels kChannels at a
// time: it reads the source pixels that the tile's upsampling needs into shared memory, and every thread, which owns
// four labels side by side, interpolates them and keeps the largest value so far. Each source pixel is read once per
// tile.
//
// Shared memory: source float [kChannels][source rows * source columns], as large as the scale makes them.

namespace hyperseg::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 64;
constexpr int kOwned = 4;
constexpr int kThreads = kRows * kColumns / kOwned;
constexpr int kChannels = 4;

/// Source lines that `lines` lines of the output can need.
int source_lines(int lines, int scale) {
  return scale == 1 ? lines : (lines - 1) / scale + 3;
}

}  // namespace

struct ArgmaxArguments {
  UpsampleArgmaxParams params;
  Divider source_columns;
  Divider source_pixels;
};

struct SourceLine {
  int low;
  int high;
  float weight;
};

/// The interpolation of output line `line`, its source lines counted from `first`.
__device__ __forceinline__ SourceLine source_line(int line, int extent, int scale, int first) {
  const Interpolation between = interpolate(line, extent, scale);
  return {between.low - first, between.high - first, between.weight};
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    upsample_argmax(const __grid_constant__ ArgmaxArguments arguments, const T* __restrict__ x, std::int32_t* labels) {
  const UpsampleArgmaxParams& params = arguments.params;
  const int columns = static_cast<int>(arguments.source_columns.divisor);
  const int pixels = static_cast<int>(arguments.source_pixels.divisor);
  float* source = shared<float>();

  const int tiles_across = (params.out_width() + kColumns - 1) / kColumns;
  const int row = static_cast<int>(blockIdx.x) / tiles_across * kRows + threadIdx.x / (kColumns / kOwned);
  const int first_row_of_tile = static_cast<int>(blockIdx.x) / tiles_across * kRows;
  const int first_column_of_tile = static_cast<int>(blockIdx.x) % tiles_across * kColumns;
  const int column = first_column_of_tile + threadIdx.x % (kColumns / kOwned) * kOwned;
  const int first_row = interpolate(first_row_of_tile, params.height, params.scale).low;
  const int first_column = interpolate(first_column_of_tile, params.width, params.scale).low;

  const SourceLine down = source_line(min(row, params.out_height() - 1), params.height, params.scale, first_row);
  SourceLine across[kOwned];
  float best[kOwned];
  int label[kOwned];
#pragma unroll
  for (int p = 0; p < kOwned; ++p) {
    across[p] = source_line(min(column + p, params.out_width() - 1), params.width, params.scale, first_column);
    best[p] = 0.0f;
    label[p] = -1;
  }

  const T* image = x + static_cast<std::int64_t>(blockIdx.y) * params.channels * params.height * params.width;
  for (int first = 0; first < params.channels; first += kChannels) {
    const int channels = min(kChannels, params.channels - first);
    for (int item = threadIdx.x; item < channels * pixels; item += kThreads) {
      const int c = static_cast<int>(arguments.source_pixels.quotient(item));
      const int pixel = item - c * pixels;
      const int v = static_cast<int>(arguments.source_columns.quotient(pixel));
      const int y = min(first_row + v, params.height - 1);
      const int u = min(first_column + pixel - v * columns, params.width - 1);
      source[item] =
          to_float(load_one(image + (static_cast<std::int64_t>(first + c) * params.height + y) * params.width + u));
    }
    __syncthreads();
    for (int c = 0; c < channels; ++c) {
      const float* above = source + c * pixels + down.low * columns;
      const float* below = source + c * pixels + down.high * columns;
#pragma unroll
      for (int p = 0; p < kOwned; ++p) {
        const SourceLine& at = across[p];
        const float top = lerp(above[at.low], above[at.high], at.weight);
        const float bottom = lerp(below[at.low], below[at.high], at.weight);
        const float value = lerp(top, bottom, down.weight);
        if (label[p] < 0 || value > best[p]) {
          best[p] = value;
          label[p] = first + c;
        }
      }
    }
    __syncthreads();
  }

  if (row >= params.out_height()) return;
  std::int32_t* line =
      labels + (static_cast<std::int64_t>(blockIdx.y) * params.out_height() + row) * params.out_width() + column;
  if (column + kOwned <= params.out_width() && params.out_width() % kOwned == 0) {
    store<kOwned>(line, Pack<std::int32_t, kOwned>{{label[0], label[1], label[2], label[3]}});
    return;
  }
#pragma unroll
  for (int p = 0; p < kOwned; ++p) {
    if (column + p < params.out_width()) store_one(line + p, label[p]);
  }
}

namespace {

template <typename T>
cudaError_t launch_typed(const UpsampleArgmaxParams& params, const void* x, std::int32_t* labels, cudaStream_t stream) {
  const int rows = source_lines(kRows, params.scale);
  const int columns = source_lines(kColumns, params.scale);
  const std::int64_t tiles = ((std::int64_t{params.out_height()} + kRows - 1) / kRows) *
                             ((std::int64_t{params.out_width()} + kColumns - 1) / kColumns);
  if (tiles > 0x7fffffff || params.batch > static_cast<int>(kGridSidesMax)) return cudaErrorInvalidConfiguration;
  const ArgmaxArguments arguments{params, Divider(static_cast<unsigned>(columns)),
                                  Divider(static_cast<unsigned>(rows * columns))};
  const LaunchShape shape{dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(params.batch)), kThreads,
                          sizeof(float) * kChannels * rows * columns};
  return launch(&upsample_argmax<T>, shape, stream, arguments, static_cast<const T*>(x), labels);
}

}  // namespace

cudaError_t launch_upsample_argmax(const UpsampleArgmaxParams& params, DataType type, const void* x,
                                   std::int32_t* labels, cudaStream_t stream) {
  return type == DataType::kFloat16 ? launch_typed<__half>(params, x, labels, stream)
                                    : launch_typed<float>(params, x, labels, stream);
}

}  // namespace hyperseg::cuda

#include <algorithm>

#include "divider.h"
#include "launch.h"
#include "launcher.h"
#include "memory.cuh"

// UpsampleArgmax: the labels of a map that is never upsampled in memory.
//
// A thread block makes a tile of kRows x kColumns labels of one image. It works through the channels kChannels at a
// time: it reads the source pixels that the tile's upsampling needs into shared memory, and every thread, which owns
// four labels side by side, interpolates them and keeps the largest value so far. Each source pixel is read once per
// tile.
//
// Shared memory: source float [kChannels][source rows * source columns], as large as the scale makes them. Where that
// is too large, since labels are much fewer than logits, every thread owns one label and reads its four source pixels.

namespace hyperseg::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 64;
constexpr int kOwned = 4;
constexpr int kThreads = kRows * kColumns / kOwned;
constexpr int kChannels = 4;

/// Source lines that `lines` lines of the output can need: for a plain argmax one each, else also the one behind it.
std::int64_t source_lines(int lines, int scale, const SourceLines& target) {
  if (scale == 1) return lines;
  if (scale > 1) return (lines - 1) / scale + 3;
  // Steps of more lines would overflow; so many do not fit into shared memory either.
  constexpr std::int64_t kLargestStep = std::int64_t{1} << (SourceLines::kFraction + 16);
  return (((lines - 1) * std::min(target.step, kLargestStep)) >> SourceLines::kFraction) + 3;
}

}  // namespace

struct ArgmaxArguments {
  UpsampleArgmaxParams params;
  Divider source_columns;
  Divider source_pixels;
};

/// The first of an output line's two source lines in the tile. The second one is behind it, where what is outside of X
/// is a copy of its last line; or the same one, for a plain argmax.
struct TileLine {
  int low;
  float weight;
};

__device__ __forceinline__ TileLine counted_from(int first, const Interpolation& between) {
  return {between.low - first, between.weight};
}

template <typename T, typename Label>
__global__ void __launch_bounds__(kThreads)
    upsample_argmax(const __grid_constant__ ArgmaxArguments arguments, const T* __restrict__ x, Label* labels) {
  const UpsampleArgmaxParams& params = arguments.params;
  const int columns = static_cast<int>(arguments.source_columns.divisor);
  const int pixels = static_cast<int>(arguments.source_pixels.divisor);
  float* source = shared<float>();

  const int tiles_across = (params.out_width() + kColumns - 1) / kColumns;
  const int row = static_cast<int>(blockIdx.x) / tiles_across * kRows + threadIdx.x / (kColumns / kOwned);
  const int first_row_of_tile = static_cast<int>(blockIdx.x) / tiles_across * kRows;
  const int first_column_of_tile = static_cast<int>(blockIdx.x) % tiles_across * kColumns;
  const int column = first_column_of_tile + threadIdx.x % (kColumns / kOwned) * kOwned;
  const int behind = params.scale == 1 ? 0 : 1;  // lines to the second source line
  const int first_row = params.row(first_row_of_tile).low;
  const int first_column = params.column(first_column_of_tile).low;

  const TileLine down = counted_from(first_row, params.row(min(row, params.out_height() - 1)));
  TileLine across[kOwned];
  float best[kOwned];
  int label[kOwned];
#pragma unroll
  for (int p = 0; p < kOwned; ++p) {
    across[p] = counted_from(first_column, params.column(min(column + p, params.out_width() - 1)));
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
      const float* below = above + behind * columns;
#pragma unroll
      for (int p = 0; p < kOwned; ++p) {
        const TileLine& at = across[p];
        const float top = lerp(above[at.low], above[at.low + behind], at.weight);
        const float bottom = lerp(below[at.low], below[at.low + behind], at.weight);
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
  Pack<Label, kOwned> owned;
#pragma unroll
  for (int p = 0; p < kOwned; ++p) owned.values[p] = static_cast<Label>(label[p]);
  store_row(labels + (static_cast<std::int64_t>(blockIdx.y) * params.out_height() + row) * params.out_width() + column,
            owned, params.out_width() - column);
}

struct DirectArguments {
  UpsampleArgmaxParams params;
  Divider out_columns;
};

template <typename T, typename Label>
__global__ void __launch_bounds__(kThreads)
    upsample_argmax_direct(const __grid_constant__ DirectArguments arguments, const T* __restrict__ x, Label* labels) {
  const UpsampleArgmaxParams& params = arguments.params;
  const unsigned item = blockIdx.x * kThreads + threadIdx.x;
  const int row = static_cast<int>(arguments.out_columns.quotient(item));
  if (row >= params.out_height()) return;
  const Interpolation down = params.row(row);
  const Interpolation across = params.column(static_cast<int>(arguments.out_columns.remainder(item)));
  const std::int64_t plane = static_cast<std::int64_t>(params.height) * params.width;
  const T* above = x + blockIdx.y * params.channels * plane + static_cast<std::int64_t>(down.low) * params.width;
  const T* below = above + static_cast<std::int64_t>(down.high - down.low) * params.width;
  float best = 0.0f;
  int label = -1;
  for (int c = 0; c < params.channels; ++c, above += plane, below += plane) {
    const float top =
        lerp(to_float(load_one(above + across.low)), to_float(load_one(above + across.high)), across.weight);
    const float bottom =
        lerp(to_float(load_one(below + across.low)), to_float(load_one(below + across.high)), across.weight);
    const float value = lerp(top, bottom, down.weight);
    if (label < 0 || value > best) {
      best = value;
      label = c;
    }
  }
  store_one(labels + static_cast<std::int64_t>(blockIdx.y) * params.out_height() * params.out_width() + item,
            static_cast<Label>(label));
}

namespace {

template <typename T, typename Label>
cudaError_t launch_direct(const UpsampleArgmaxParams& params, const T* x, Label* labels, cudaStream_t stream) {
  const std::int64_t blocks = (std::int64_t{params.out_height()} * params.out_width() + kThreads - 1) / kThreads;
  if (blocks * kThreads > 0x7fffffff) return cudaErrorInvalidConfiguration;  // of the divider
  const DirectArguments arguments{params, Divider(static_cast<unsigned>(params.out_width()))};
  const LaunchShape shape{dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(params.batch)), kThreads, 0};
  return launch(&upsample_argmax_direct<T, Label>, shape, stream, arguments, x, labels);
}

template <typename T, typename Label>
cudaError_t launch_typed(const UpsampleArgmaxParams& params, const void* x, void* labels, cudaStream_t stream) {
  const std::int64_t rows = source_lines(kRows, params.scale, params.down);
  const std::int64_t columns = source_lines(kColumns, params.scale, params.across);
  const std::int64_t tiles = ((std::int64_t{params.out_height()} + kRows - 1) / kRows) *
                             ((std::int64_t{params.out_width()} + kColumns - 1) / kColumns);
  if (tiles > 0x7fffffff || params.batch > static_cast<int>(kGridSidesMax)) return cudaErrorInvalidConfiguration;
  const T* const source = static_cast<const T*>(x);
  Label* const to = static_cast<Label*>(labels);
  constexpr std::int64_t kMostPixels = kSharedBytesDefault / (sizeof(float) * kChannels);
  if (rows > kMostPixels / columns) return launch_direct(params, source, to, stream);
  const ArgmaxArguments arguments{params, Divider(static_cast<unsigned>(columns)),
                                  Divider(static_cast<unsigned>(rows * columns))};
  const LaunchShape shape{dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(params.batch)), kThreads,
                          sizeof(float) * kChannels * rows * columns};
  return launch(&upsample_argmax<T, Label>, shape, stream, arguments, source, to);
}

template <typename T>
cudaError_t launch_labels(const UpsampleArgmaxParams& params, LabelType type, const void* x, void* labels,
                          cudaStream_t stream) {
  return type == LabelType::kUint8 ? launch_typed<T, std::uint8_t>(params, x, labels, stream)
                                   : launch_typed<T, std::int32_t>(params, x, labels, stream);
}

}  // namespace

cudaError_t launch_upsample_argmax(const UpsampleArgmaxParams& params, DataType type, LabelType label_type,
                                   const void* x, void* labels, cudaStream_t stream) {
  return type == DataType::kFloat16 ? launch_labels<__half>(params, label_type, x, labels, stream)
                                    : launch_labels<float>(params, label_type, x, labels, stream);
}

}  // namespace hyperseg::cuda

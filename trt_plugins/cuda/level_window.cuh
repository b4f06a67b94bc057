#pragma once

#include "hyperseg/level_input.h"
#include "level_pointers.cuh"
#include "memory.cuh"
#include "pixel_reader.cuh"
#include "plane_reader.cuh"
#include "tile.cuh"

// The window of the composed map (coordinates, X, upsampled `previous`) that one tile reads, into shared memory.

namespace hyperseg::cuda {

/// Reflects, then clamps: lines that only unused pixels of a partial tile ask for stay inside the map.
__device__ __forceinline__ int reflect_inside(int i, int extent) {
  return min(max(reflect(i, extent), 0), extent - 1);
}

__device__ __forceinline__ int clamp_inside(int i, int extent) {
  return min(max(i, 0), extent - 1);
}

/// Channels [begin, end) of a composed map, and which of them come from where.
struct ChannelRange {
  int begin;
  int end;

  __device__ int size() const { return end - begin; }
  /// The part that lies in [from, from + count), counted from `from`.
  __device__ ChannelRange within(int from, int count) const {
    return {min(max(begin - from, 0), count), min(max(end - from, 0), count)};
  }
};

/// Writes window pixel (v, u) of composed channel begin + c to window[c * leading + v * kColumns + u]. `scratch` holds
/// Shape::kPreviousWindow values of T for each channel of `previous` in the range. All threads of the block take part;
/// the caller synchronises before it reads the window.
template <typename Shape, typename Stored, typename T>
__device__ __forceinline__ void load_window(const LevelInput& input, const LevelPointers<T>& pointers,
                                            const TilePlace& tile, ChannelRange range, Stored* window, int leading,
                                            T* scratch) {
  constexpr int kRows = Shape::kRows;
  constexpr int kColumns = Shape::kColumns;
  constexpr int kPack = 16 / static_cast<int>(sizeof(T));
  const auto map_row = [&](int v) { return reflect_inside(tile.y - Shape::kHalo + v, input.height); };
  const auto map_column = [&](int u) { return reflect_inside(tile.x - Shape::kHalo + u, input.width); };
  const int x_begin = input.coordinates ? 2 : 0;
  const int previous_begin = x_begin + input.x_channels;

  const ChannelRange upsampled = range.within(previous_begin, input.previous_channels);
  const int height = input.height / 2;
  const int width = input.width / 2;
  const int first_row = tile.y / 2 - 1;
  const int first_column = tile.x / 2 - 1;
  if (upsampled.size() > 0) {
    constexpr int kHalf = Shape::kWidth > 1 ? Shape::kWidth / 2 : 1;
    constexpr int kVector = kPack < kHalf ? kPack : kHalf;
    const T* map = pointers.previous +
                   (static_cast<std::int64_t>(tile.n) * input.previous_channels + upsampled.begin) * height * width;
    const auto reader = plane_reader(
        map, upsampled.size(), height, width, [&](int v) { return clamp_inside(first_row + v, height); },
        [&](int u) { return clamp_inside(first_column + u, width); },
        [&](int c, int v, int u, T value) {
          scratch[c * Shape::kPreviousWindow + v * (Shape::kPreviousColumns + 1) + u] = value;
        });
    if (tile.y % 2 == 0 && tile.x % (2 * kVector) == 0 && width % kVector == 0) {
      reader.template read_vectors<Shape::kPreviousRows, Shape::kPreviousColumns, 1, kVector>(tile.x / 2);
    } else {
      reader.template read_singly<Shape::kPreviousRows + 1, Shape::kPreviousColumns + 1>();
    }
  }

  const ChannelRange plain = range.within(x_begin, input.x_channels);
  if (plain.size() > 0) {
    Stored* target = window + (x_begin + plain.begin - range.begin) * leading;
    const auto put = [&](int c, int v, int u, T value) {
      target[c * leading + v * kColumns + u] = convert<Stored>(to_float(value));
    };
    if (pointers.channels_last) {
      const auto reader = pixel_reader(pointers.x_image(input, tile.n), pointers.pixel, plain.begin, plain.size(),
                                       input.width, map_row, map_column, put);
      const int odd_elements = static_cast<int>(pointers.pixel.divisor) % kPack;
      const auto aligned = [&](int pixels) { return pixels % kPack * odd_elements % kPack == 0; };
      if (aligned(tile.x) && aligned(input.width) && aligned(Shape::kWidth) && plain.size() == input.x_channels) {
        reader.template read_vectors<kRows, kColumns, Shape::kHalo, kPack>(tile.x);
      } else {
        reader.template read_singly<kRows, kColumns>();
      }
    } else {
      constexpr int kVector = kPack < Shape::kWidth ? kPack : Shape::kWidth;
      const T* map = pointers.x_image(input, tile.n) +
                     static_cast<std::int64_t>(plain.begin) * input.height * static_cast<std::int64_t>(input.width);
      const auto reader = plane_reader(map, plain.size(), input.height, input.width, map_row, map_column, put);
      if (tile.x % kVector == 0 && input.width % kVector == 0) {
        reader.template read_vectors<kRows, kColumns, Shape::kHalo, kVector>(tile.x);
      } else {
        reader.template read_singly<kRows, kColumns>();
      }
    }
  }

  const ChannelRange coordinates = range.within(0, x_begin);
  if (coordinates.size() > 0) {
    for (int pixel = threadIdx.x; pixel < Shape::kWindow; pixel += blockDim.x) {
      for (int c = coordinates.begin; c < coordinates.end; ++c) {
        const float value = c == 0 ? coordinate(map_column(pixel % kColumns), input.width)
                                   : coordinate(map_row(pixel / kColumns), input.height);
        window[(c - range.begin) * leading + pixel] = convert<Stored>(value);
      }
    }
  }

  if (upsampled.size() > 0) {
    __syncthreads();
    Stored* target = window + (previous_begin + upsampled.begin - range.begin) * leading;
    // Where the window has fewer pixels than the block threads, the threads share out the channels.
    const int groups = max(1, static_cast<int>(blockDim.x) / Shape::kWindow);
    for (int item = threadIdx.x; item < groups * Shape::kWindow; item += blockDim.x) {
      const int pixel = item % Shape::kWindow;
      const int group = item / Shape::kWindow;
      const int y = map_row(pixel / kColumns);
      const int x = map_column(pixel % kColumns);
      // Line i of the map lies a quarter above or below the middle of lines (i + 1) / 2 - 1 and (i + 1) / 2.
      const int low_row = clamp_inside((y + 1) / 2 - 1 - first_row, Shape::kPreviousRows);
      const int low_column = clamp_inside((x + 1) / 2 - 1 - first_column, Shape::kPreviousColumns);
      const float down = y % 2 == 0 ? 0.75f : 0.25f;
      const float across = x % 2 == 0 ? 0.75f : 0.25f;
      for (int c = group; c < upsampled.size(); c += groups) {
        const T* corner = scratch + c * Shape::kPreviousWindow + low_row * (Shape::kPreviousColumns + 1) + low_column;
        const T* below = corner + Shape::kPreviousColumns + 1;
        const float top = lerp(to_float(corner[0]), to_float(corner[1]), across);
        const float bottom = lerp(to_float(below[0]), to_float(below[1]), across);
        target[c * leading + pixel] = convert<Stored>(lerp(top, bottom, down));
      }
    }
  }
}

}  // namespace hyperseg::cuda

#pragma once

#include "hyperseg/level_input.h"
#include "memory.cuh"
#include "tile.cuh"

// The window of the composed map (coordinates, X, upsampled `previous`) that one tile reads, into shared memory.

namespace hyperseg::cuda {

template <typename T>
struct LevelPointers {
  const T* x;
  const T* previous;
};

/// Reflects, then clamps: lines that only unused pixels of a partial tile ask for stay inside the map.
__device__ __forceinline__ int reflect_inside(int i, int extent) {
  return min(max(reflect(i, extent), 0), extent - 1);
}

__device__ __forceinline__ int clamp_inside(int i, int extent) {
  return min(max(i, 0), extent - 1);
}

/// A window of every channel of a map [channels, height, width], read line by line. `row` and `column` turn window
/// lines into map lines; put(channel, row, column, value) receives every value once.
template <typename T, typename Row, typename Column, typename Put>
struct WindowReader {
  const T* map;
  int channels;
  int height;
  int width;
  Row row;
  Column column;
  Put put;

  template <int kRows, int kColumns>
  __device__ __forceinline__ void read_singly() const {
#pragma unroll 4
    for (int item = threadIdx.x; item < channels * kRows * kColumns; item += blockDim.x) {
      const int u = item % kColumns;
      const int v = item / kColumns % kRows;
      const int c = item / (kColumns * kRows);
      put(c, v, u, load_one(line(c, v) + column(u)));
    }
  }

  /// Window columns [kHalo, kColumns - kHalo) lie at map columns x.. and are read by vectors, the others singly.
  /// Needs x and width to be multiples of the vector.
  template <int kRows, int kColumns, int kHalo, int kVector>
  __device__ __forceinline__ void read_vectors(int x) const {
    constexpr int kVectors = (kColumns - 2 * kHalo) / kVector;
    constexpr int kSlots = kVectors + 2 * kHalo;
#pragma unroll 2
    for (int item = threadIdx.x; item < channels * kRows * kSlots; item += blockDim.x) {
      const int slot = item % kSlots;
      const int v = item / kSlots % kRows;
      const int c = item / (kSlots * kRows);
      const T* source = line(c, v);
      if (slot >= kVectors) {
        const int side = slot - kVectors;  // 0, 1, ..: the columns left of the vectors, then those right of them
        const int u = side < kHalo ? side : kColumns - 2 * kHalo + side;
        put(c, v, u, load_one(source + column(u)));
        continue;
      }
      const int u = kHalo + slot * kVector;
      const int first = x + slot * kVector;
      if (first < width) {
        const Pack<T, kVector> pack = load<kVector>(source + first);
#pragma unroll
        for (int k = 0; k < kVector; ++k) put(c, v, u + k, pack.values[k]);
      } else {
#pragma unroll
        for (int k = 0; k < kVector; ++k) put(c, v, u + k, load_one(source + column(u + k)));
      }
    }
  }

 private:
  __device__ __forceinline__ const T* line(int c, int v) const {
    return map + (static_cast<std::int64_t>(c) * height + row(v)) * width;
  }
};

template <typename T, typename Row, typename Column, typename Put>
__device__ __forceinline__ WindowReader<T, Row, Column, Put> window_reader(const T* map, int channels, int height,
                                                                           int width, Row row, Column column, Put put) {
  return {map, channels, height, width, row, column, put};
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
    const auto reader = window_reader(
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
    constexpr int kVector = kPack < Shape::kWidth ? kPack : Shape::kWidth;
    const T* map = pointers.x + (static_cast<std::int64_t>(tile.n) * input.x_channels + plain.begin) * input.height *
                                    static_cast<std::int64_t>(input.width);
    Stored* target = window + (x_begin + plain.begin - range.begin) * leading;
    const auto reader = window_reader(map, plain.size(), input.height, input.width, map_row, map_column,
                                      [&](int c, int v, int u, T value) {
                                        target[c * leading + v * kColumns + u] = convert<Stored>(to_float(value));
                                      });
    if (tile.x % kVector == 0 && input.width % kVector == 0) {
      reader.template read_vectors<kRows, kColumns, Shape::kHalo, kVector>(tile.x);
    } else {
      reader.template read_singly<kRows, kColumns>();
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

#pragma once

#include "divider.h"
#include "memory.cuh"

namespace hyperseg::cuda {

/// A window of some channels of a map [height, width, pixel], read pixel by pixel: its channels lie side by side. `row`
/// and `column` turn window lines into map lines; put(channel, row, column, value) receives every value once, channels
/// counted from `first`.
template <typename T, typename Row, typename Column, typename Put>
struct PixelReader {
  const T* map;
  Divider pixel;
  int first;
  int channels;
  int width;
  Row row;
  Column column;
  Put put;

  template <int kRows, int kColumns>
  __device__ __forceinline__ void read_singly() const {
#pragma unroll 4
    for (int item = threadIdx.x; item < kRows * kColumns * channels; item += blockDim.x) {
      const int place = item / channels;
      const int c = item - place * channels;
      const int v = place / kColumns;
      const int u = place % kColumns;
      put(c, v, u, load_one(at(v, column(u)) + first + c));
    }
  }

  /// Window columns [kHalo, kColumns - kHalo) lie at map columns x.. and are read by vectors that run across pixels,
  /// the others singly. Needs all channels, and x, width and the columns between to be multiples of the vector when
  /// counted in elements.
  template <int kRows, int kColumns, int kHalo, int kVector>
  __device__ __forceinline__ void read_vectors(int x) const {
    constexpr int kInner = kColumns - 2 * kHalo;
    const int elements = static_cast<int>(pixel.divisor);
#pragma unroll 2
    for (int item = threadIdx.x * kVector; item < kRows * kInner * elements; item += blockDim.x * kVector) {
      const int place = static_cast<int>(pixel.quotient(item));
      const int v = place / kInner;
      int u = place % kInner;
      int c = item - place * elements;
      const bool inside = x + u < width;
      Pack<T, kVector> pack;
      if (inside) pack = load<kVector>(at(v, x + u) + c);
#pragma unroll
      for (int k = 0; k < kVector; ++k) {
        if (c < channels) {
          put(c, v, kHalo + u, inside ? pack.values[k] : load_one(at(v, column(kHalo + u)) + c));
        }
        if (++c == elements) c = 0, ++u;
      }
    }
    if constexpr (kHalo > 0) {
      for (int item = threadIdx.x; item < kRows * 2 * kHalo * elements; item += blockDim.x) {
        const int place = static_cast<int>(pixel.quotient(item));
        const int c = item - place * elements;
        const int side = place % (2 * kHalo);  // 0, 1, ..: the columns on the left, then those on the right
        const int v = place / (2 * kHalo);
        const int u = side < kHalo ? side : kColumns - 2 * kHalo + side;
        if (c < channels) put(c, v, u, load_one(at(v, column(u)) + c));
      }
    }
  }

 private:
  __device__ __forceinline__ const T* at(int v, int map_column) const {
    return map + (static_cast<std::int64_t>(row(v)) * width + map_column) * static_cast<int>(pixel.divisor);
  }
};

template <typename T, typename Row, typename Column, typename Put>
__device__ __forceinline__ PixelReader<T, Row, Column, Put> pixel_reader(const T* map, const Divider& pixel, int first,
                                                                         int channels, int width, Row row,
                                                                         Column column, Put put) {
  return {map, pixel, first, channels, width, row, column, put};
}

}  // namespace hyperseg::cuda

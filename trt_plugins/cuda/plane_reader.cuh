#pragma once

#include "memory.cuh"

namespace hyperseg::cuda {

/// A window of every channel of a map [channels, height, width], read line by line. `row` and `column` turn window
/// lines into map lines; put(channel, row, column, value) receives every value once.
template <typename T, typename Row, typename Column, typename Put>
struct PlaneReader {
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
__device__ __forceinline__ PlaneReader<T, Row, Column, Put> plane_reader(const T* map, int channels, int height,
                                                                         int width, Row row, Column column, Put put) {
  return {map, channels, height, width, row, column, put};
}

}  // namespace hyperseg::cuda

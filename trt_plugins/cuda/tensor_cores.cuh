#pragma once

#include <cuda_fp16.h>
#include <mma.h>

#include "memory.cuh"
#include "tile.cuh"

// Products of 16x16x16 half tiles with float sums.

namespace hyperseg::cuda {

constexpr int kSide = 16;  ///< of a tensor-core tile

using LeftFragment =
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, kSide, kSide, kSide, __half, nvcuda::wmma::row_major>;
using RightFragment =
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, kSide, kSide, kSide, __half, nvcuda::wmma::row_major>;
using SumFragment = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, kSide, kSide, kSide, float>;

/// Leading dimension of a half matrix in shared memory whose rows 16-byte loads meet without bank conflicts: an odd
/// number of 16 bytes. `columns` is a multiple of 8.
constexpr HYPERSEG_HOST_DEVICE int half_leading(int columns) {
  return columns / 8 % 2 == 1 ? columns : columns + 8;
}

/// sums[m][n] += left[m * 16.., 0..depth) * right[0..depth, pixels of n). The calling warp's pixel tiles are warp,
/// warp + warps, ...; those from `tiles` on do not exist.
template <int kRowTiles, int kPixelTiles>
__device__ __forceinline__ void multiply(const __half* left, int left_leading, const __half* right, int right_leading,
                                         int depth, int tiles, SumFragment (&sums)[kRowTiles][kPixelTiles]) {
  const int warp = threadIdx.x / 32;
  const int warps = blockDim.x / 32;
  for (int k = 0; k < depth; k += kSide) {
    LeftFragment a[kRowTiles];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      nvcuda::wmma::load_matrix_sync(a[m], left + m * kSide * left_leading + k, left_leading);
    }
#pragma unroll
    for (int n = 0; n < kPixelTiles; ++n) {
      const int tile = warp + n * warps;
      if (tile >= tiles) break;
      RightFragment b;
      nvcuda::wmma::load_matrix_sync(b, right + k * right_leading + tile * kSide, right_leading);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) nvcuda::wmma::mma_sync(sums[m][n], a[m], b, sums[m][n]);
    }
  }
}

template <int kRowTiles, int kPixelTiles>
__device__ __forceinline__ void clear(SumFragment (&sums)[kRowTiles][kPixelTiles]) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < kPixelTiles; ++n) nvcuda::wmma::fill_fragment(sums[m][n], 0.0f);
  }
}

/// Half of a sum tile's row: the eight pixels that one lane finishes and writes.
constexpr int kRun = 8;
/// Floats of shared memory that a warp needs to hand a sum tile to its lanes.
constexpr int kHandOver = kSide * (kSide + 4);

/// Hands the calling warp's sum tiles to its lanes: finish(m, pixel, sums of pixels pixel .. pixel + 7). `hand_over`
/// is the block's, kHandOver floats a warp.
template <int kRowTiles, int kPixelTiles, typename Finish>
__device__ __forceinline__ void finish_tiles(const SumFragment (&sums)[kRowTiles][kPixelTiles], int tiles,
                                             float* hand_over, Finish finish) {
  const int warp = threadIdx.x / 32;
  const int warps = blockDim.x / 32;
  const int lane = threadIdx.x % 32;
  float* staged = hand_over + warp * kHandOver;
#pragma unroll
  for (int n = 0; n < kPixelTiles; ++n) {
    const int tile = warp + n * warps;
    if (tile >= tiles) break;
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      nvcuda::wmma::store_matrix_sync(staged, sums[m][n], kSide + 4, nvcuda::wmma::mem_row_major);
      __syncwarp();
      finish(m * kSide + lane / 2, tile * kSide + lane % 2 * kRun, staged + lane / 2 * (kSide + 4) + lane % 2 * kRun);
      __syncwarp();
    }
  }
}

}  // namespace hyperseg::cuda

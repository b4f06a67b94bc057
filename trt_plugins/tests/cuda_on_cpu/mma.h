#pragma once

// nvcuda::wmma, 16x16x16 with half operands and float sums. Element i of lane l is number 8 * l + i of the row-major
// tile; on a GPU the assignment is unspecified, so kernels may not rely on either. Loads and stores wait for nobody,
// although a GPU's warp executes them together: what other lanes and warps stored takes a barrier to see.

#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <typename Use, int M, int N, int K, typename T, typename Layout = void>
struct fragment {
  static_assert(M == 16 && N == 16 && K == 16);
  static constexpr int num_elements = 8;
  T x[num_elements];
};

namespace detail {

/// Calls visit(i, offset) for the calling lane's elements of a 16x16 tile in memory.
template <typename Visit>
void for_elements(unsigned leading, bool column_major, Visit visit) {
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned element = cuda_on_cpu::lane() * 8 + i;
    const unsigned row = element / 16;
    const unsigned column = element % 16;
    visit(i, column_major ? column * leading + row : row * leading + column);
  }
}

/// Requirements of the instructions on a tile: 32-byte alignment, rows of a multiple of 16 bytes.
template <typename T>
void check_tile(const T* tile, unsigned leading) {
  if (reinterpret_cast<std::uintptr_t>(tile) % 32 != 0 || leading * sizeof(T) % 16 != 0) {
    cuda_on_cpu::Block::current()->fail("a wmma tile is not aligned");
  }
}

}  // namespace detail

template <typename Fragment, typename T>
void fill_fragment(Fragment& fragment, T value) {
  for (auto& element : fragment.x) element = value;
}

template <typename Use, typename T, typename Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& fragment, const T* tile, unsigned leading) {
  detail::check_tile(tile, leading);
  detail::for_elements(leading, std::is_same_v<Layout, col_major>,
                       [&](unsigned i, unsigned offset) { fragment.x[i] = tile[offset]; });
}

template <typename T>
void store_matrix_sync(T* tile, const fragment<accumulator, 16, 16, 16, T>& fragment, unsigned leading,
                       layout_t layout) {
  detail::check_tile(tile, leading);
  detail::for_elements(leading, layout == mem_col_major,
                       [&](unsigned i, unsigned offset) { tile[offset] = fragment.x[i]; });
}

template <typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, 16, 16, 16, float>& d, const fragment<matrix_a, 16, 16, 16, __half, LayoutA>& a,
              const fragment<matrix_b, 16, 16, 16, __half, LayoutB>& b,
              const fragment<accumulator, 16, 16, 16, float>& c) {
  const unsigned row = cuda_on_cpu::lane() / 2;
  const unsigned first_column = cuda_on_cpu::lane() % 2 * 8;
  float a_row[16];
  cuda_on_cpu::exchange(0xffffffffu, a, [&](auto at) {
    for (unsigned k = 0; k < 16; ++k) a_row[k] = __half2float(at(row * 2 + k / 8).x[k % 8]);
  });
  cuda_on_cpu::exchange(0xffffffffu, b, [&](auto at) {
    for (unsigned i = 0; i < 8; ++i) {
      float sum = 0;
      for (unsigned k = 0; k < 16; ++k) sum += a_row[k] * __half2float(at(k * 2 + first_column / 8).x[i]);
      d.x[i] = c.x[i] + sum;
    }
  });
  if (cuda_on_cpu::lane() == 0) HYPERSEG_COUNT(tensor_multiply_adds, 16 * 16 * 16);
}

}  // namespace nvcuda::wmma

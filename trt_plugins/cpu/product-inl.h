// The inner loop of all convolutions: a matrix product whose right-hand rows are at arbitrary offsets in a window.
//
//   out[m][n] = clamp(addend[m][n] + bias[m] + sum_k weights[m * weights_stride + k] * window[offsets[k] + n])
//
// A 1x1 convolution has one row per input channel. A KxK one has K*K rows per channel, each the same plane shifted by
// its tap: with the window's rows stored one after the other, a tap is a constant shift, and the values that wrap
// around a row's end fall into the padding columns, which are never read.

#if defined(HYPERSEG_CPU_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HYPERSEG_CPU_PRODUCT_INL_H_
#undef HYPERSEG_CPU_PRODUCT_INL_H_
#else
#define HYPERSEG_CPU_PRODUCT_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <limits>

#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct Product {
  const float* weights;
  size_t weights_stride;
  const float* bias;  // null: none
  const float* window;
  const int32_t* offsets;  // [depth]
  size_t depth;
  float* out;
  size_t out_stride;
  size_t rows;
  size_t columns;  // rounded up to whole vectors: `out` and `window` have room for that
  float lowest;    // -infinity: not clamped
  float highest;
  const float* addend;  // null, or a map like `out`, added before the clamp
};

// Rows and vectors of the block that is kept in registers: block + one row of the window + one weight fit the file.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr size_t kBlockRows = 8;
#else
constexpr size_t kBlockRows = 4;
#endif
constexpr size_t kBlockVectors = 3;

template <size_t kRows, size_t kVectors>
HWY_INLINE void multiply_block(const Product& p, size_t row, size_t column) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  V sum[kRows][kVectors];
  for (size_t m = 0; m < kRows; ++m) {
    const V start = p.bias != nullptr ? hn::Set(d, p.bias[row + m]) : hn::Zero(d);
    for (size_t v = 0; v < kVectors; ++v) sum[m][v] = start;
  }
  const float* HWY_RESTRICT weights = p.weights + row * p.weights_stride;
  const float* HWY_RESTRICT window = p.window + column;
  for (size_t k = 0; k < p.depth; ++k) {
    const float* HWY_RESTRICT source = window + p.offsets[k];
    V x[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      x[v] = hn::LoadU(d, source + v * lanes);
      // More rows than the hardware prefetcher tracks: prefetch those that the block's first rows would miss.
      if (row == 0) hwy::Prefetch(source + (kVectors + v) * lanes);
    }
    for (size_t m = 0; m < kRows; ++m) {
      const V weight = hn::Set(d, weights[m * p.weights_stride + k]);
      for (size_t v = 0; v < kVectors; ++v) sum[m][v] = hn::MulAdd(weight, x[v], sum[m][v]);
    }
  }
  const size_t at = row * p.out_stride + column;
  if (p.addend != nullptr) {
    for (size_t m = 0; m < kRows; ++m) {
      const float* HWY_RESTRICT addend = p.addend + at + m * p.out_stride;
      for (size_t v = 0; v < kVectors; ++v) sum[m][v] = hn::Add(sum[m][v], hn::LoadU(d, addend + v * lanes));
    }
  }
  if (p.lowest > -std::numeric_limits<float>::infinity()) {
    const V lowest = hn::Set(d, p.lowest);
    const V highest = hn::Set(d, p.highest);
    for (size_t m = 0; m < kRows; ++m) {
      for (size_t v = 0; v < kVectors; ++v) sum[m][v] = hn::Min(highest, hn::Max(lowest, sum[m][v]));
    }
  }
  for (size_t m = 0; m < kRows; ++m) {
    float* HWY_RESTRICT out = p.out + at + m * p.out_stride;
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sum[m][v], d, out + v * lanes);
  }
}

template <size_t kVectors>
HWY_NOINLINE void multiply_rows(const Product& p, size_t column) {
  size_t row = 0;
  for (; row + kBlockRows <= p.rows; row += kBlockRows) multiply_block<kBlockRows, kVectors>(p, row, column);
  if (kBlockRows > 4 && row + 4 <= p.rows) {
    multiply_block<4, kVectors>(p, row, column);
    row += 4;
  }
  switch (p.rows - row) {
    case 3:
      return multiply_block<3, kVectors>(p, row, column);
    case 2:
      return multiply_block<2, kVectors>(p, row, column);
    case 1:
      return multiply_block<1, kVectors>(p, row, column);
    default:
      return;
  }
}

HWY_INLINE void multiply(const Product& p) {
  const size_t lanes = hn::Lanes(hn::ScalableTag<float>());
  size_t column = 0;
  for (; column + (kBlockVectors - 1) * lanes < p.columns; column += kBlockVectors * lanes) {
    multiply_rows<kBlockVectors>(p, column);
  }
  if (column + lanes < p.columns) {
    multiply_rows<2>(p, column);
  } else if (column < p.columns) {
    multiply_rows<1>(p, column);
  }
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// Depth-wise K x K convolution of MBConv, stride 1 or 2, with SiLU before and behind it. Rows are padded first, so that
// the filter reads whole vectors without a test for the border.

#if defined(HYPERSEG_CPU_MBCONV_FILTER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HYPERSEG_CPU_MBCONV_FILTER_INL_H_
#undef HYPERSEG_CPU_MBCONV_FILTER_INL_H_
#else
#define HYPERSEG_CPU_MBCONV_FILTER_INL_H_
#endif

#include <cstddef>

#include "cpu/silu-inl.h"
#include "hwy/highway.h"
#include "hyperseg/mbconv.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Layout of a padded row's columns: contiguous, or even and odd columns separate, so that a filter of stride 2 also
/// reads whole vectors.
struct PaddedRows {
  float* even;
  float* odd;  // stride 2 only
  size_t stride;
};

/// Activates one row of the image and writes it behind its left padding; zeros follow.
template <bool kActivate>
HWY_INLINE void place_row(const MBConvParams& params, const float* HWY_RESTRICT from, size_t row,
                          const PaddedRows& rows) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const size_t width = params.width;
  const size_t left = params.pad_left;
  const auto value = [d](auto x) HWY_ATTR {
    if constexpr (kActivate) return silu(d, x);
    return x;
  };
  if (params.stride == 1) {
    float* HWY_RESTRICT to = rows.even + row * rows.stride;
    for (size_t i = 0; i < left; ++i) to[i] = 0.0f;
    to += left;
    for (size_t n = 0; n < width; n += lanes) hn::StoreU(value(hn::LoadU(d, from + n)), d, to + n);
    for (size_t i = width; i < width + 8; ++i) to[i] = 0.0f;
    return;
  }
  // Image column 2n lies at padded column 2n + left: in the plane of left's parity.
  float* HWY_RESTRICT first = (left % 2 == 0 ? rows.even : rows.odd) + row * rows.stride;
  float* HWY_RESTRICT second = (left % 2 == 0 ? rows.odd : rows.even) + row * rows.stride;
  for (size_t i = 0; i < 4; ++i) first[i] = second[i] = 0.0f;
  first += left / 2;
  second += (left + 1) / 2;
  for (size_t n = 0; n < (width + 1) / 2; n += lanes) {
    hn::Vec<decltype(d)> a, b;
    hn::LoadInterleaved2(d, from + 2 * n, a, b);
    hn::StoreU(value(a), d, first + n);
    hn::StoreU(value(b), d, second + n);
  }
  for (size_t i = 0; i < 8; ++i) first[(width + 1) / 2 + i] = second[width / 2 + i] = 0.0f;
}

/// Filters and activates one channel; returns the sum of what it wrote.
template <int kKernel, int kStride>
HWY_NOINLINE float filter_channel(const MBConvParams& params, const PaddedRows& rows, int out_rows,
                                  const float* weights, float bias, float* HWY_RESTRICT out) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const size_t width = params.out_width;
  V taps[kKernel * kKernel];
  for (int i = 0; i < kKernel * kKernel; ++i) taps[i] = hn::Set(d, weights[i]);
  V total = hn::Zero(d);
  for (int y = 0; y < out_rows; ++y, out += width) {
    const size_t begin = static_cast<size_t>(y) * kStride * rows.stride;
    V row_total = hn::Zero(d);  // short sums: where a map is even, the roundings of a long one all go the same way
    for (size_t n = 0; n < width; n += lanes) {
      V sums[2] = {hn::Set(d, bias), hn::Zero(d)};
      for (int u = 0; u < kKernel; ++u) {
        for (int v = 0; v < kKernel; ++v) {
          const float* plane = kStride == 2 && v % 2 == 1 ? rows.odd : rows.even;
          const V x = hn::LoadU(d, plane + begin + u * rows.stride + n + v / kStride);
          V& sum = sums[(u * kKernel + v) % 2];
          sum = hn::MulAdd(taps[u * kKernel + v], x, sum);
        }
      }
      const V result = silu(d, hn::Add(sums[0], sums[1]));
      if (n + lanes <= width) {
        hn::StoreU(result, d, out + n);
        row_total = hn::Add(row_total, result);
      } else {
        HWY_ALIGN float last[HWY_MAX_BYTES / sizeof(float)];
        hn::Store(result, d, last);
        for (size_t i = n; i < width; ++i) out[i] = last[i - n];
        row_total = hn::Add(row_total, hn::IfThenElseZero(hn::FirstN(d, width - n), result));
      }
    }
    total = hn::Add(total, row_total);
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

HWY_INLINE float filter_any(const MBConvParams& params, const PaddedRows& rows, int out_rows, const float* weights,
                            float bias, float* out) {
  if (params.kernel == 3) {
    return params.stride == 1 ? filter_channel<3, 1>(params, rows, out_rows, weights, bias, out)
                              : filter_channel<3, 2>(params, rows, out_rows, weights, bias, out);
  }
  return params.stride == 1 ? filter_channel<5, 1>(params, rows, out_rows, weights, bias, out)
                            : filter_channel<5, 2>(params, rows, out_rows, weights, bias, out);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

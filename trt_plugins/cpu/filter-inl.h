// Depth-wise 3x3 convolution of one channel:
//
//   out[n] = clamp(bias + sum_uv weights[3 * u + v] * rows[u][v + n])
//
// As in product-inl.h a tap is a constant shift of the plane, and a row's last two results are unused.

#if defined(HYPERSEG_CPU_FILTER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HYPERSEG_CPU_FILTER_INL_H_
#undef HYPERSEG_CPU_FILTER_INL_H_
#else
#define HYPERSEG_CPU_FILTER_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct Filter {
  const float* weights;  // [3, 3]
  float bias;
  const float* rows[3];
  float* out;
  size_t columns;  // rounded up to whole vectors: `out` and `rows` have room for that
  float lowest;
  float highest;

  void set_rows(const float* window, size_t stride) {
    for (size_t u = 0; u < 3; ++u) rows[u] = window + u * stride;
  }
};

HWY_INLINE void filter_3x3(const Filter& f) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  V weights[9];
  for (size_t i = 0; i < 9; ++i) weights[i] = hn::Set(d, f.weights[i]);
  const V bias = hn::Set(d, f.bias);
  const V lowest = hn::Set(d, f.lowest);
  const V highest = hn::Set(d, f.highest);
  const float* HWY_RESTRICT top = f.rows[0];
  const float* HWY_RESTRICT middle = f.rows[1];
  const float* HWY_RESTRICT bottom = f.rows[2];
  float* HWY_RESTRICT out = f.out;
  for (size_t n = 0; n < f.columns; n += lanes) {
    // Three sums, so that no addition waits for more than two others.
    V a = hn::MulAdd(weights[0], hn::LoadU(d, top + n), bias);
    V b = hn::Mul(weights[3], hn::LoadU(d, middle + n));
    V c = hn::Mul(weights[6], hn::LoadU(d, bottom + n));
    a = hn::MulAdd(weights[1], hn::LoadU(d, top + n + 1), a);
    b = hn::MulAdd(weights[4], hn::LoadU(d, middle + n + 1), b);
    c = hn::MulAdd(weights[7], hn::LoadU(d, bottom + n + 1), c);
    a = hn::MulAdd(weights[2], hn::LoadU(d, top + n + 2), a);
    b = hn::MulAdd(weights[5], hn::LoadU(d, middle + n + 2), b);
    c = hn::MulAdd(weights[8], hn::LoadU(d, bottom + n + 2), c);
    const V sum = hn::Add(a, hn::Add(b, c));
    hn::StoreU(hn::Min(highest, hn::Max(lowest, sum)), d, out + n);
  }
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

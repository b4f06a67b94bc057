// Rows of storage (float or Half) to and from rows of float.

#if defined(HYPERSEG_CPU_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HYPERSEG_CPU_CONVERT_INL_H_
#undef HYPERSEG_CPU_CONVERT_INL_H_
#else
#define HYPERSEG_CPU_CONVERT_INL_H_
#endif

#include <cstddef>

#include "cpu/half.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Copies [0, count) in vectors of D; the last one overlaps the one before. Needs count >= lanes.
template <class D>
HWY_INLINE void copy_overlapping(D d, const float* HWY_RESTRICT from, size_t count, float* HWY_RESTRICT to) {
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i + lanes < count; i += lanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  hn::StoreU(hn::LoadU(d, from + count - lanes), d, to + count - lanes);
}

HWY_INLINE void load_row(const float* HWY_RESTRICT from, size_t count, float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 4> quarter;
  if (count >= hn::Lanes(d)) return copy_overlapping(d, from, count, to);
  if (count >= hn::Lanes(quarter)) return copy_overlapping(quarter, from, count, to);
  for (size_t i = 0; i < count; ++i) to[i] = from[i];
}

HWY_INLINE void store_row(const float* HWY_RESTRICT from, size_t count, float* HWY_RESTRICT to) {
  load_row(from, count, to);
}

HWY_INLINE float load_one(const float* from) {
  return *from;
}

template <class D>
HWY_INLINE size_t load_halves(D d, const Half* HWY_RESTRICT from, size_t i, size_t count, float* HWY_RESTRICT to) {
  const hn::Rebind<hwy::float16_t, D> half;
  const size_t lanes = hn::Lanes(d);
  for (; i + lanes <= count; i += lanes) {
    const auto loaded = hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(from + i));
    hn::StoreU(hn::PromoteTo(d, loaded), d, to + i);
  }
  return i;
}

HWY_INLINE void load_row(const Half* HWY_RESTRICT from, size_t count, float* HWY_RESTRICT to) {
  size_t i = load_halves(hn::ScalableTag<float>(), from, 0, count, to);
  i = load_halves(hn::CappedTag<float, 4>(), from, i, count, to);
  load_halves(hn::CappedTag<float, 1>(), from, i, count, to);
}

HWY_INLINE float load_one(const Half* from) {
  float value;
  load_halves(hn::CappedTag<float, 1>(), from, 0, 1, &value);
  return value;
}

template <class D>
HWY_INLINE size_t store_halves(D d, const float* HWY_RESTRICT from, size_t i, size_t count, Half* HWY_RESTRICT to) {
  const hn::Rebind<hwy::float16_t, D> half;
  const size_t lanes = hn::Lanes(d);
  for (; i + lanes <= count; i += lanes) {
    const auto rounded = hn::DemoteTo(half, hn::LoadU(d, from + i));
    hn::StoreU(rounded, half, reinterpret_cast<hwy::float16_t*>(to + i));
  }
  return i;
}

HWY_INLINE void store_row(const float* HWY_RESTRICT from, size_t count, Half* HWY_RESTRICT to) {
  size_t i = store_halves(hn::ScalableTag<float>(), from, 0, count, to);
  i = store_halves(hn::CappedTag<float, 4>(), from, i, count, to);
  store_halves(hn::CappedTag<float, 1>(), from, i, count, to);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

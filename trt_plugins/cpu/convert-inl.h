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

// Without F16C, Highway's own conversions truncate, and do not handle infinity or NaN.
#undef HYPERSEG_OWN_HALVES
#if HWY_ARCH_X86 && HWY_TARGET >= HWY_SSE4
#define HYPERSEG_OWN_HALVES 1
#else
#define HYPERSEG_OWN_HALVES 0
#endif

/// float16 to float, exactly.
template <class D, class H>
HWY_INLINE hn::Vec<D> widened(D d, H half) {
#if HYPERSEG_OWN_HALVES
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::PromoteTo(du, hn::BitCast(du16, half));
  const auto exponent = hn::And(bits, hn::Set(du, 0x7C00));
  const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000)));
  const auto special =
      hn::Or(hn::Or(sign, hn::Set(du, 0x7F800000)), hn::ShiftLeft<13>(hn::And(bits, hn::Set(du, 0x3FF))));
  const auto infinite = hn::RebindMask(d, hn::Eq(exponent, hn::Set(du, 0x7C00)));
  return hn::IfThenElse(infinite, hn::BitCast(d, special), hn::PromoteTo(d, half));
#else
  return hn::PromoteTo(d, half);
#endif
}

/// float to float16, to the nearest, ties to even.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<hwy::float16_t, D>> narrowed(D d, hn::Vec<D> value) {
  const hn::Rebind<hwy::float16_t, D> half;
#if HYPERSEG_OWN_HALVES
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::BitCast(du, value);
  const auto size = hn::And(bits, hn::Set(du, 0x7FFFFFFF));
  // Bits of a float are ordered as its value: adding half of the last kept place, less one where that place is even,
  // carries where it has to. The exponent's bias changes from 127 to 15.
  const auto odd = hn::And(hn::ShiftRight<13>(size), hn::Set(du, 1));
  const auto normal =
      hn::ShiftRight<13>(hn::Add(hn::Sub(size, hn::Set(du, (127 - 15) << 23)), hn::Add(odd, hn::Set(du, 0xFFF))));
  // The last place of floats from 1/2 to 1 is that of the smallest halves, 2^-24: the sum is rounded to it.
  const auto shifted = hn::Add(hn::BitCast(d, size), hn::Set(d, 0.5f));
  const auto denormal = hn::Sub(hn::BitCast(du, shifted), hn::BitCast(du, hn::Set(d, 0.5f)));
  const auto signed_size = hn::BitCast(di, size);
  const auto is_denormal = hn::RebindMask(du, hn::Lt(signed_size, hn::Set(di, (127 - 14) << 23)));
  const auto overflows = hn::RebindMask(du, hn::Gt(signed_size, hn::Set(di, 0x477FEFFF)));  // 65520 rounds to infinity
  const auto is_nan = hn::RebindMask(du, hn::Gt(signed_size, hn::Set(di, 0x7F800000)));
  auto result = hn::IfThenElse(is_denormal, denormal, normal);
  result = hn::IfThenElse(overflows, hn::Set(du, 0x7C00), result);
  result = hn::IfThenElse(is_nan, hn::Set(du, 0x7E00), result);
  result = hn::Or(result, hn::ShiftRight<16>(hn::And(bits, hn::Set(du, 0x80000000u))));
  return hn::BitCast(half, hn::DemoteTo(du16, hn::BitCast(di, result)));
#else
  (void)d;
  return hn::DemoteTo(half, value);
#endif
}

template <class D>
HWY_INLINE size_t load_halves(D d, const Half* HWY_RESTRICT from, size_t i, size_t count, float* HWY_RESTRICT to) {
  const hn::Rebind<hwy::float16_t, D> half;
  const size_t lanes = hn::Lanes(d);
  for (; i + lanes <= count; i += lanes) {
    const auto loaded = hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(from + i));
    hn::StoreU(widened(d, loaded), d, to + i);
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
    hn::StoreU(narrowed(d, hn::LoadU(d, from + i)), half, reinterpret_cast<hwy::float16_t*>(to + i));
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

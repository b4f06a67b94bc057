// Sigmoid and SiLU of a vector.

#if defined(HYPERSEG_CPU_SILU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HYPERSEG_CPU_SILU_INL_H_
#undef HYPERSEG_CPU_SILU_INL_H_
#else
#define HYPERSEG_CPU_SILU_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// 2^x for |x| <= 126: 2^n for the nearest integer n, times a polynomial for the rest; relative error below 2e-7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2(D d, V x) {
  const hn::RebindToSigned<D> di;
  const auto n = hn::NearestInt(x);
  const V r = hn::Sub(x, hn::ConvertTo(d, n));
  // Minimax coefficients of 2^r on [-1/2, 1/2].
  V p = hn::Set(d, 1.3400400e-3f);
  p = hn::MulAdd(p, r, hn::Set(d, 9.6760400e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.5503270e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.4022107e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.9314721e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(n)));
}

/// 1 / (1 + exp(-x))
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  constexpr float kLog2E = 1.44269504f;
  const V limit = hn::Set(d, 126.0f);
  const V power = hn::Min(limit, hn::Max(hn::Neg(limit), hn::Mul(x, hn::Set(d, -kLog2E))));
  const V divisor = hn::Add(hn::Set(d, 1.0f), exp2(d, power));
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  // An estimate of 12 bits or more and one Newton step: as exact as the polynomial, and half a division's time.
  const V estimate = hn::ApproximateReciprocal(divisor);
  return hn::Mul(estimate, hn::NegMulAdd(divisor, estimate, hn::Set(d, 2.0f)));
#else
  return hn::Div(hn::Set(d, 1.0f), divisor);
#endif
}

/// x * sigmoid(x)
template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu(D d, V x) {
  return hn::Mul(x, sigmoid(d, x));
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

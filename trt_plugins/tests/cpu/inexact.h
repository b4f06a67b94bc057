#pragma once

#include <algorithm>
#include <cmath>

/// Values with an error bound of their computation in float32: a running error analysis (Higham, Accuracy and
/// Stability of Numerical Algorithms, 2nd ed., sections 3.1 to 3.4), which holds for every order of summation, with and
/// without fused multiply-adds.
///
/// Underflow is not modelled: the data are multiples of 1/64 and no sigmoid's argument is beyond +-80, so that nothing
/// comes near 2^-126 except as a term next to much larger ones.
namespace hyperseg::plain {

/// Unit roundoff of float32: a rounded result is the exact one times 1 + d, |d| <= u.
constexpr double kUnit = 0x1p-24;

/// Bounds |(1 + d_1) ... (1 + d_n) - 1|, all |d_i| <= u (Higham, lemma 3.1). The n^2 u^2 / 2 by which it is too large
/// are more than the n 2^-53 of the same computation in double precision.
inline double gamma(int roundings) {
  return roundings * kUnit / (1.0 - roundings * kUnit);
}

/// A sum whose terms are known but not the order in which they are added. Each of them comes out multiplied by one
/// factor 1 + d for every rounding that it goes through, in any position, so that the error of the sum is at most
/// gamma(roundings) * magnitude, in addition to the errors of its operands.
struct Inexact {
  double value = 0.0;      ///< without any rounding
  double error = 0.0;      ///< how far it is off because its operands are
  double magnitude = 0.0;  ///< sum of the terms' absolute values, as large as their errors may make them
  int terms = 0;
  int roundings = 0;  ///< of a term before it is added: the products that made it

  Inexact() = default;
  Inexact(double exact) : Inexact(exact, 0.0) {}
  /// One number of float32, at most `off` from `value`.
  Inexact(double rounded, double off) : value(rounded), error(off), magnitude(std::abs(rounded) + off), terms(1) {}

  /// How far the computed sum may be from `value`. Each of n terms goes through at most n - 1 additions.
  double bound() const { return error + gamma(std::max(terms - 1, 0) + roundings) * magnitude; }
  /// The sum as one number of float32. Only where a kernel has to round it, since it stores it or needs all of it.
  Inexact rounded() const { return {value, bound()}; }
};

inline Inexact& operator+=(Inexact& sum, const Inexact& more) {
  sum.value += more.value;
  sum.error += more.error;
  sum.magnitude += more.magnitude;
  sum.terms += more.terms;
  sum.roundings = std::max(sum.roundings, more.roundings);
  return sum;
}

/// Every term of `a` with every term of `b`: that also covers kernels which sum a factor first and multiply then.
inline Inexact operator*(const Inexact& a, const Inexact& b) {
  Inexact product;
  product.value = a.value * b.value;
  product.error = std::abs(a.value) * b.error + a.error * (std::abs(b.value) + b.error);
  product.magnitude = a.magnitude * b.magnitude;
  product.terms = a.terms * b.terms;
  product.roundings = a.roundings + b.roundings + 1;
  return product;
}

/// (1 - weight) * a + weight * b, which kernels compute as a + weight * (b - a) or as b + (1 - weight) * (a - b): three
/// terms, of which the larger coefficients of both forms are taken. `off` is the error of the weight.
inline Inexact blend(const Inexact& a, const Inexact& b, double weight, double off) {
  if (weight == 0.0 && off == 0.0) return a;
  Inexact sum;
  sum.value = (1.0 - weight) * a.value + weight * b.value;
  sum.error = (1.0 - weight) * a.error + weight * b.error + off * (std::abs(b.value - a.value) + a.error + b.error);
  sum.magnitude = (1.0 + weight + off) * a.magnitude + (2.0 - weight + off) * b.magnitude;
  sum.terms = a.terms + b.terms + std::max(a.terms, b.terms);
  sum.roundings = std::max(a.roundings, b.roundings) + 1;
  return sum;
}

inline Inexact clamp(const Inexact& x, double lowest, double highest) {
  const double value = std::clamp(x.value, lowest, highest);
  return {value, std::max(std::clamp(x.value + x.bound(), lowest, highest) - value,
                          value - std::clamp(x.value - x.bound(), lowest, highest))};
}

/// As silu-inl.h computes it. The exponent of its 2^(x * -log2(e)) is off by 1.25 u of itself, 0.22 u since log2(e) is
/// a float, and u of the product: as if x were. The rest are relative errors, in units of u:
///   3.3  exp2's polynomial (1.96e-7, measured in extended precision)
///   2.0  the roundings of its five steps; 1 + exp2 takes both over by a factor below 1
///   1.0  that sum
///   5.3  its reciprocal: a Newton step leaves the square of the estimate's error, 2.25 for the 1.5 * 2^-12 of x86's
///        worst, and rounds three times; a division, which other processors have there, rounds once
inline Inexact sigmoid(const Inexact& x) {
  constexpr double kExponent = 1.25 * kUnit;
  constexpr double kRest = 12.0 * kUnit;  // 11.6
  const auto exact = [](double value) { return 1.0 / (1.0 + std::exp(-value)); };
  const double size = std::abs(x.value), off = x.bound() + kExponent * (size + x.bound());
  const double nearest = exact(std::max(size - off, 0.0));  // of the arguments that there may be; steepest at zero
  const double value = exact(x.value), inherited = nearest * (1.0 - nearest) * off;
  return {value, inherited + kRest * (value + inherited)};
}

}  // namespace hyperseg::plain

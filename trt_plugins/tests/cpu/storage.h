#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cpu/half.h"
#include "plain.h"

/// Values as the kernels' storage types.
namespace hyperseg::test {

template <typename T>
T stored(double value);
template <>
inline float stored<float>(double value) {
  return static_cast<float>(value);
}
// Exact for the multiples of 1/64 that the tests draw.
template <>
inline cpu::Half stored<cpu::Half>(double value) {
  if (value == 0.0) return {0};
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  const std::uint32_t exponent = ((bits >> 23) & 0xff) - 127 + 15;
  return {static_cast<std::uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff))};
}

inline double loaded(float value) {
  return value;
}
inline double loaded(cpu::Half half) {
  const int exponent = half.bits >> 10 & 0x1f;
  const double fraction = half.bits & 0x3ff;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half.bits & 0x8000 ? -size : size;
}

/// A heap block of exactly the tensor's size, so that the address sanitizer sees every overrun.
template <typename T>
std::vector<T> tensor(const plain::Values& values) {
  std::vector<T> result;
  result.reserve(values.size());
  for (const plain::Inexact& one : values) result.push_back(stored<T>(one.value));
  return result;
}

template <typename T>
const T* pointer(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace hyperseg::test

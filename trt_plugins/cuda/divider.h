#pragma once

#include <cuda_runtime.h>

namespace hyperseg::cuda {

/// Division by a number known at launch: one multiplication and a shift on the device. Exact for dividends below 2^31.
struct Divider {
  unsigned divisor = 1;
  unsigned multiplier = 1;
  unsigned shift = 0;

  Divider() = default;
  explicit Divider(unsigned by) : divisor(by) {
    while (shift < 31 && (1u << shift) < by) ++shift;
    multiplier = static_cast<unsigned>(((1ull << 32) * ((1ull << shift) - by)) / by + 1);
  }

  __device__ __forceinline__ unsigned quotient(unsigned dividend) const {
    return (__umulhi(dividend, multiplier) + dividend) >> shift;
  }
  __device__ __forceinline__ unsigned remainder(unsigned dividend) const {
    return dividend - quotient(dividend) * divisor;
  }
};

}  // namespace hyperseg::cuda

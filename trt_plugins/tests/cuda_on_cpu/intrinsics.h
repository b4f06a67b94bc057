#pragma once

// Device functions: the barrier, warp exchanges, read-only loads.

#include <cmath>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "grid.h"

constexpr int warpSize = 32;

namespace cuda_on_cpu {

inline uint3 thread_index() {
  const unsigned thread = Block::current()->thread();
  return {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
}

inline unsigned lane() {
  return Block::current()->thread() % kWarp;
}

/// All lanes of `mask` publish `value`, wait for each other, and read what they want through `read(at)`, where
/// `at(lane)` is that lane's value.
template <typename Value, typename Read>
auto exchange(unsigned mask, const Value& value, Read read) {
  static_assert(sizeof(Value) <= sizeof(WarpExchange::slots[0][0]));
  Block& block = *Block::current();
  WarpExchange& warp = block.warp();
  const unsigned generation = block.generation(warp);
  auto& slots = warp.slots[generation & 1];
  std::memcpy(slots[lane()], &value, sizeof(Value));
  block.meet(warp, mask, generation);
  return read([&slots](unsigned from) {
    Value result;
    std::memcpy(&result, slots[from % kWarp], sizeof(Value));
    return result;
  });
}

}  // namespace cuda_on_cpu

#define threadIdx (::cuda_on_cpu::thread_index())

inline void __syncthreads(const std::source_location& place = std::source_location::current()) {
  cuda_on_cpu::Block::current()->barrier(place);
}

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  cuda_on_cpu::exchange(mask, 0, [](auto) {});
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
  return cuda_on_cpu::exchange(mask, value, [=](auto at) { return at(cuda_on_cpu::lane() ^ distance); });
}

template <typename T>
T __ldg(const T* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}

inline int min(int a, int b) {
  return a < b ? a : b;
}
inline int max(int a, int b) {
  return a > b ? a : b;
}

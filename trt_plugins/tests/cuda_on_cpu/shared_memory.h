#pragma once

// Dynamic shared memory: one array an operating-system thread, filled with NaNs before every block, guarded behind the
// bytes that the launch asked for.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "sanitizers.h"

namespace cuda_on_cpu {

constexpr std::size_t kSharedBytesMax = 232448;  // what a block may ask for on sm_90
constexpr std::size_t kSharedBytesDefault = 48 << 10;
constexpr unsigned char kPoison = 0xff;  // a NaN in half and in float, a large negative index in int

/// Finds the calling thread's array; CUDA_ON_CPU_SHARED_MEMORY sets it.
inline unsigned char* (*shared_memory_of_this_thread)() = nullptr;

class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes)
      : begin_(shared_memory_of_this_thread ? shared_memory_of_this_thread() : nullptr), bytes_(bytes) {
    if (!begin_) return;
    unpoison(begin_, kSharedBytesMax);
    std::memset(begin_ + bytes_, kPoison, guard());
    poison(begin_ + bytes_, kSharedBytesMax - bytes_);
  }
  ~SharedMemory() {
    if (begin_) unpoison(begin_, kSharedBytesMax);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void fill() {
    if (begin_) std::memset(begin_, kPoison, bytes_);
  }

  /// False if a thread wrote behind the end.
  bool intact() {
    if (!begin_) return true;
    unpoison(begin_ + bytes_, guard());
    const bool clean =
        std::all_of(begin_ + bytes_, begin_ + bytes_ + guard(), [](unsigned char byte) { return byte == kPoison; });
    poison(begin_ + bytes_, guard());
    if (!clean) std::fprintf(stderr, "cuda_on_cpu: a thread wrote behind the %zu bytes of shared memory\n", bytes_);
    return clean;
  }

 private:
  std::size_t guard() const { return std::min<std::size_t>(4096, kSharedBytesMax - bytes_); }

  unsigned char* begin_;
  std::size_t bytes_;
};

}  // namespace cuda_on_cpu

/// Defines the array that kernels declare as `extern __shared__ unsigned char NAME[]` in NAMESPACE. Once a program.
#define CUDA_ON_CPU_SHARED_MEMORY(NAMESPACE, NAME)                                                    \
  namespace NAMESPACE {                                                                               \
  alignas(128) __thread unsigned char NAME[::cuda_on_cpu::kSharedBytesMax];                           \
  }                                                                                                   \
  static const bool cuda_on_cpu_found_shared_memory = [] {                                            \
    ::cuda_on_cpu::shared_memory_of_this_thread = []() -> unsigned char* { return NAMESPACE::NAME; }; \
    return true;                                                                                      \
  }();

#pragma once

// What kernels did, counted through HYPERSEG_COUNT in trt_plugins/cuda/memory.cuh.

#include <cstdint>
#include <mutex>

#include "sanitizers.h"

namespace cuda_on_cpu {

struct Counters {
  std::uint64_t loaded_bytes = 0;          ///< from global memory
  std::uint64_t stored_bytes = 0;          ///< to global memory
  std::uint64_t multiply_adds = 0;         ///< outside tensor cores
  std::uint64_t tensor_multiply_adds = 0;  ///< on tensor cores, padding included

  Counters& operator+=(const Counters& other) {
    loaded_bytes += other.loaded_bytes;
    stored_bytes += other.stored_bytes;
    multiply_adds += other.multiply_adds;
    tensor_multiply_adds += other.tensor_multiply_adds;
    return *this;
  }
};

/// Of the blocks that this operating-system thread has run in the present launch.
inline Counters& thread_counters() {
  static thread_local Counters counters;
  return counters;
}

CUDA_ON_CPU_UNTRACKED inline void count(std::uint64_t Counters::*what, std::uint64_t amount) {
  thread_counters().*what += amount;
}

/// Sum over all launches of the process.
class TotalCounters {
 public:
  void add(const Counters& counters) {
    const std::lock_guard<std::mutex> lock(mutex_);
    total_ += counters;
  }
  Counters take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Counters result = total_;
    total_ = {};
    return result;
  }

 private:
  std::mutex mutex_;
  Counters total_;
};

inline TotalCounters& total_counters() {
  static TotalCounters counters;
  return counters;
}

}  // namespace cuda_on_cpu

#define HYPERSEG_COUNT(what, amount) ::cuda_on_cpu::count(&::cuda_on_cpu::Counters::what, amount)

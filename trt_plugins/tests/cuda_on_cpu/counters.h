#pragma once

// Counters of the kernels' work, updated through HYPERSEG_COUNT in trt_plugins/cuda/memory.cuh.

#include <cstdint>
#include <mutex>

#include "sanitizers.h"

namespace cuda_on_cpu {

struct Counters {
  std::uint64_t loaded_bytes = 0;          ///< from global memory
  std::uint64_t stored_bytes = 0;          ///< to global memory
  std::uint64_t multiply_adds = 0;         ///< outside tensor cores
  std::uint64_t tensor_multiply_adds = 0;  ///< on tensor cores, padding included
  std::uint64_t barriers = 0;              ///< of all blocks
  std::uint64_t load_phases = 0;           ///< of all blocks: stretches between barriers with loads from global memory

  Counters& operator+=(const Counters& other) {
    loaded_bytes += other.loaded_bytes;
    stored_bytes += other.stored_bytes;
    multiply_adds += other.multiply_adds;
    tensor_multiply_adds += other.tensor_multiply_adds;
    barriers += other.barriers;
    load_phases += other.load_phases;
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

/// loaded_bytes when the present stretch between two barriers began.
inline std::uint64_t& phase_began_at() {
  static thread_local std::uint64_t bytes = 0;
  return bytes;
}

/// A barrier that all threads of the block have met, or the end of the block.
CUDA_ON_CPU_UNTRACKED inline void end_phase(bool at_barrier) {
  Counters& counters = thread_counters();
  counters.barriers += at_barrier ? 1 : 0;
  counters.load_phases += counters.loaded_bytes > phase_began_at() ? 1 : 0;
  phase_began_at() = counters.loaded_bytes;
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

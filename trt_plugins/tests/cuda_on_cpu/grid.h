#pragma once

// A kernel launch: blocks spread over operating-system threads.
//
// Environment: CUDA_ON_CPU_ORDER = forward | reverse | shuffled, the order in which the threads of a block take turns;
// CUDA_ON_CPU_WORKERS = operating-system threads (default: one a core).

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "block.h"
#include "counters.h"
#include "shared_memory.h"

inline thread_local uint3 blockIdx{};
inline thread_local dim3 blockDim{};
inline thread_local dim3 gridDim{};

namespace cuda_on_cpu {

inline Order order_from_environment() {
  const char* text = std::getenv("CUDA_ON_CPU_ORDER");
  const std::string_view order = text ? text : "forward";
  return order == "reverse" ? Order::kReverse : order == "shuffled" ? Order::kShuffled : Order::kForward;
}

inline unsigned workers_from_environment() {
  const char* text = std::getenv("CUDA_ON_CPU_WORKERS");
  return text ? static_cast<unsigned>(std::atoi(text)) : std::max(1u, std::thread::hardware_concurrency());
}

/// Dynamic shared memory that each kernel may use, from cudaFuncSetAttribute.
class SharedLimits {
 public:
  void set(const void* kernel, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bytes_[kernel] = bytes;
  }
  std::size_t get(const void* kernel) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = bytes_.find(kernel);
    return found == bytes_.end() ? kSharedBytesDefault : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<const void*, std::size_t> bytes_;
};

inline SharedLimits& shared_limits() {
  static SharedLimits limits;
  return limits;
}

inline bool valid(const cudaLaunchConfig_t& config) {
  const dim3 grid = config.gridDim;
  const dim3 block = config.blockDim;
  const bool grid_fits = grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.y <= 65535 && grid.z <= 65535;
  const unsigned threads = block.x * block.y * block.z;
  return grid_fits && threads > 0 && threads <= 1024 && block.z <= 64 && config.dynamicSmemBytes <= kSharedBytesMax;
}

inline cudaError_t run_grid(const cudaLaunchConfig_t& config, const std::function<void()>& kernel) {
  if (!valid(config)) return cudaErrorInvalidConfiguration;
  const dim3 grid = config.gridDim;
  const std::size_t blocks = std::size_t{grid.x} * grid.y * grid.z;
  const Order order = order_from_environment();
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};

  const auto work = [&] {
    thread_counters() = {};
    phase_began_at() = 0;
    Block block(kernel);
    Block::current() = &block;
    blockDim = config.blockDim;
    gridDim = grid;
    SharedMemory shared(config.dynamicSmemBytes);
    for (std::size_t i = next++; i < blocks && !failed; i = next++) {
      blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                  static_cast<unsigned>(i / grid.x / grid.y)};
      shared.fill();
      const bool ran = block.run(blockDim.x * blockDim.y * blockDim.z, order, static_cast<unsigned>(i));
      end_phase(false);
      if (!ran || !shared.intact()) failed = true;
    }
    total_counters().add(thread_counters());
  };

  std::vector<std::thread> workers;
  for (unsigned i = 0; i < workers_from_environment(); ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  return failed ? cudaErrorLaunchFailure : cudaSuccess;
}

/// The last launch, by any thread.
struct Launch {
  const void* kernel = nullptr;
  std::size_t blocks = 0;
  unsigned threads = 0;  ///< of a block
  std::size_t shared_bytes = 0;
};

inline Launch& last_launch() {
  static Launch launch;
  return launch;
}

template <typename... Parameters, typename... Arguments>
cudaError_t launch(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  const dim3 grid = config->gridDim;
  const dim3 block = config->blockDim;
  last_launch() = {reinterpret_cast<const void*>(kernel), std::size_t{grid.x} * grid.y * grid.z,
                   block.x * block.y * block.z, config->dynamicSmemBytes};
  if (config->dynamicSmemBytes > shared_limits().get(reinterpret_cast<const void*>(kernel))) {
    return cudaErrorInvalidValue;
  }
  return run_grid(*config, [=] { kernel(Parameters(arguments)...); });
}

}  // namespace cuda_on_cpu

#define cudaLaunchKernelEx ::cuda_on_cpu::launch

extern "C" inline cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaErrorInvalidValue;
  if (value < 0 || static_cast<std::size_t>(value) > cuda_on_cpu::kSharedBytesMax) return cudaErrorInvalidValue;
  cuda_on_cpu::shared_limits().set(kernel, static_cast<std::size_t>(value));
  return cudaSuccess;
}

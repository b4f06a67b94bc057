// The CUDA kernels on the CPU as a shared library for ctypes.

#include <cuda_runtime.h>

#include <cstdio>

#include "request.h"

CUDA_ON_CPU_SHARED_MEMORY(hyperseg::cuda, shared_memory)

/// 0, or 1 with the reason in `message`.
extern "C" int hyperseg_run(const HyperSegRequest* request, char* message, int message_bytes) {
  const std::string error = run(*request);
  std::snprintf(message, static_cast<std::size_t>(message_bytes), "%s", error.c_str());
  return error.empty() ? 0 : 1;
}

extern "C" std::size_t hyperseg_shared_bytes(const HyperSegRequest* request) {
  return shared_bytes(*request);
}

/// What the kernels have done since the last call.
extern "C" void hyperseg_take_counters(cuda_on_cpu::Counters* counters) {
  *counters = cuda_on_cpu::total_counters().take();
}

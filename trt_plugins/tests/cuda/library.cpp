// libhyperseg_cuda.so with the kernels compiled for the CPU, plus counters and the last launch.

#include <cuda_runtime.h>
#include <dlfcn.h>

#include "c_api/request.h"

CUDA_ON_CPU_SHARED_MEMORY(hyperseg::cuda, shared_memory)

/// The counters since the last call.
extern "C" void hyperseg_take_counters(cuda_on_cpu::Counters* counters) {
  *counters = cuda_on_cpu::total_counters().take();
}

/// The last launch; `name` is the kernel's mangled name, null where the linker does not tell.
struct HyperSegLaunch {
  const char* name;
  std::int64_t blocks;
  std::int64_t threads;
  std::int64_t shared_bytes;
};

extern "C" void hyperseg_last_launch(HyperSegLaunch* launch) {
  const cuda_on_cpu::Launch& last = cuda_on_cpu::last_launch();
  Dl_info info{};
  dladdr(last.kernel, &info);
  *launch = {info.dli_sname, static_cast<std::int64_t>(last.blocks), static_cast<std::int64_t>(last.threads),
             static_cast<std::int64_t>(last.shared_bytes)};
}

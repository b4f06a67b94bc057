#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace hyperseg::cuda {

struct LaunchShape {
  dim3 grid;
  unsigned threads;
  std::size_t shared_bytes;
};

/// Maximum number of blocks of a grid along y.
constexpr unsigned kGridSidesMax = 65535;

/// Shared memory that a kernel may use without opting in.
constexpr std::size_t kSharedBytesDefault = 48 << 10;

/// Launches all kernels.
template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
                   const Parameters&... arguments) {
  if (shape.shared_bytes > kSharedBytesDefault) {
    const cudaError_t error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shape.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace hyperseg::cuda

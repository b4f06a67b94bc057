// Kernels with one fault each, to show that cuda_on_cpu reports it.
//
//   faulty_kernels NAME     prints the launch's error, a number, and how many values are wrong

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <cstdio>
#include <cstring>
#include <vector>

CUDA_ON_CPU_SHARED_MEMORY(faulty, shared_memory)

namespace faulty {

constexpr int kThreads = 64;
constexpr std::size_t kSharedBytes = kThreads * sizeof(float);

__device__ float* shared() {
  extern __shared__ unsigned char shared_memory[];
  return reinterpret_cast<float*>(shared_memory);
}

__global__ void none(float* values) {
  float* staged = shared();
  staged[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  values[threadIdx.x] = staged[kThreads - 1 - threadIdx.x];
}

__global__ void missing_barrier(float* values) {
  float* staged = shared();
  staged[threadIdx.x] = values[threadIdx.x];
  values[threadIdx.x] = staged[kThreads - 1 - threadIdx.x];
}

__global__ void uninitialised(float* values) {
  values[threadIdx.x] = shared()[threadIdx.x];
}

__global__ void different_barriers(float*) {
  if (threadIdx.x < kThreads / 2) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void skipped_barrier(float*) {
  if (threadIdx.x > 0) __syncthreads();
}

__global__ void overrun(float* values) {
  shared()[threadIdx.x + 1] = values[threadIdx.x];
}

__global__ void crooked_tile(float*) {
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> tile;
  nvcuda::wmma::fill_fragment(tile, 0.0f);
  nvcuda::wmma::store_matrix_sync(shared() + 1, tile, 16, nvcuda::wmma::mem_row_major);
}

struct Fault {
  const char* name;
  void (*kernel)(float*);
};

constexpr Fault kFaults[] = {{"none", none},
                             {"missing_barrier", missing_barrier},
                             {"uninitialised", uninitialised},
                             {"different_barriers", different_barriers},
                             {"skipped_barrier", skipped_barrier},
                             {"overrun", overrun},
                             {"crooked_tile", crooked_tile}};

}  // namespace faulty

int main(int, char** arguments) {
  for (const faulty::Fault& fault : faulty::kFaults) {
    if (std::strcmp(fault.name, arguments[1]) != 0) continue;
    std::vector<float> values(faulty::kThreads);
    for (int i = 0; i < faulty::kThreads; ++i) values[i] = static_cast<float>(i);
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(1);
    config.blockDim = dim3(faulty::kThreads);
    config.dynamicSmemBytes = fault.kernel == faulty::crooked_tile ? 2048 : faulty::kSharedBytes;
    const cudaError_t error = cudaLaunchKernelEx(&config, fault.kernel, values.data());
    int wrong = 0;
    for (int i = 0; i < faulty::kThreads; ++i)
      wrong += values[i] == static_cast<float>(faulty::kThreads - 1 - i) ? 0 : 1;
    std::printf("%d %d\n", static_cast<int>(error), wrong);
    return 0;
  }
  return 2;
}

#pragma once

// The host functions of the CUDA runtime that programs of the tests use. Device memory is host memory; a launch returns
// when it is done, so there is nothing to wait for, and streams and events are not modelled.

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

#include "shared_memory.h"

/// Exactly `bytes`, so that AddressSanitizer guards both ends.
extern "C" inline cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  *data = std::malloc(bytes);
  return *data || bytes == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
}

extern "C" inline cudaError_t cudaFree(void* data) {
  std::free(data);
  return cudaSuccess;
}

extern "C" inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

extern "C" inline cudaError_t cudaMemset(void* data, int value, std::size_t bytes) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}

extern "C" inline cudaError_t cudaDeviceSynchronize() {
  return cudaSuccess;
}

extern "C" inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

extern "C" inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrMaxSharedMemoryPerBlockOptin) return cudaErrorInvalidValue;
  *value = static_cast<int>(cuda_on_cpu::kSharedBytesMax);
  return cudaSuccess;
}

extern "C" inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return "unrecognized error code";
  }
}

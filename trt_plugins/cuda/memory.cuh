#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

// Global memory and multiply-adds go through the functions of this file, so that the tests can count them:
// trt_plugins/tests/cuda_on_cpu defines HYPERSEG_COUNT.
#ifndef HYPERSEG_COUNT
#define HYPERSEG_COUNT(what, amount)
#endif

namespace hyperseg::cuda {

/// `kCount` neighbours of a tensor, moved by one instruction.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T values[kCount];
};

template <int kBytes>
struct Word;
template <>
struct Word<1> {
  using Type = unsigned char;
};
template <>
struct Word<2> {
  using Type = unsigned short;
};
template <>
struct Word<4> {
  using Type = unsigned;
};
template <>
struct Word<8> {
  using Type = uint2;
};
template <>
struct Word<16> {
  using Type = uint4;
};

/// Reads global memory that no thread writes during the kernel; `address` is aligned to the pack.
template <int kCount, typename T>
__device__ __forceinline__ Pack<T, kCount> load(const T* address) {
  using Raw = typename Word<sizeof(Pack<T, kCount>)>::Type;
  HYPERSEG_COUNT(loaded_bytes, sizeof(Raw));
  const Raw raw = __ldg(reinterpret_cast<const Raw*>(address));
  Pack<T, kCount> pack;
  memcpy(&pack, &raw, sizeof raw);
  return pack;
}

template <int kCount, typename T>
__device__ __forceinline__ void store(T* address, const Pack<T, kCount>& pack) {
  using Raw = typename Word<sizeof(Pack<T, kCount>)>::Type;
  HYPERSEG_COUNT(stored_bytes, sizeof(Raw));
  Raw raw;
  memcpy(&raw, &pack, sizeof raw);
  *reinterpret_cast<Raw*>(address) = raw;
}

template <typename T>
__device__ __forceinline__ T load_one(const T* address) {
  return load<1>(address).values[0];
}

template <typename T>
__device__ __forceinline__ void store_one(T* address, T value) {
  store<1>(address, Pack<T, 1>{{value}});
}

/// Writes the first `count` of the pack's values, by one instruction where these are all and the address allows.
template <typename T, int kCount>
__device__ __forceinline__ void store_row(T* address, const Pack<T, kCount>& pack, int count) {
  if (count >= kCount && reinterpret_cast<std::uintptr_t>(address) % sizeof(pack) == 0) {
    store(address, pack);
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) store_one(address + i, pack.values[i]);
  }
}

/// The block's dynamic shared memory.
template <typename T>
__device__ __forceinline__ T* shared() {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  return reinterpret_cast<T*>(shared_memory);
}

template <int kCount>
struct Floats {
  float values[kCount];
};

/// Reads shared memory by float4; `address` is aligned to one.
template <int kCount>
__device__ __forceinline__ Floats<kCount> shared_quads(const float* address) {
  Floats<kCount> result;
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const float4 quad = *reinterpret_cast<const float4*>(address + i);
    result.values[i] = quad.x, result.values[i + 1] = quad.y, result.values[i + 2] = quad.z;
    result.values[i + 3] = quad.w;
  }
  return result;
}

__device__ __forceinline__ float multiply_add(float a, float b, float c) {
  HYPERSEG_COUNT(multiply_adds, 1);
  return fmaf(a, b, c);
}

template <typename To>
__device__ __forceinline__ To convert(float value) {
  return value;
}
template <>
__device__ __forceinline__ __half convert<__half>(float value) {
  return __float2half_rn(value);
}

__device__ __forceinline__ float to_float(float value) {
  return value;
}
__device__ __forceinline__ float to_float(__half value) {
  return __half2float(value);
}

__device__ __forceinline__ float relu6(float value) {
  return fminf(fmaxf(value, 0.0f), 6.0f);
}

__device__ __forceinline__ float lerp(float a, float b, float weight) {
  return multiply_add(weight, b - a, a);
}

}  // namespace hyperseg::cuda

#pragma once

#include <cuda_runtime_api.h>

#include "cpu/half.h"
#include "launch.h"
#include "onnxruntime/operators.h"

/// The operators on ONNX Runtime's CUDA provider: the kernels of trt_plugins/cuda on the provider's stream.
namespace hyperseg::ort::cuda {

template <typename T>
constexpr hyperseg::cuda::DataType kDataType = hyperseg::cuda::DataType::kFloat32;
template <>
inline constexpr hyperseg::cuda::DataType kDataType<cpu::Half> = hyperseg::cuda::DataType::kFloat16;

/// The stream that the provider runs the node on.
inline cudaStream_t stream_of(const Call& call) {
  void* stream = nullptr;
  check(call.api(), call.api().KernelContext_GetGPUComputeStream(call.context(), &stream));
  return static_cast<cudaStream_t>(stream);
}

inline void require_launched(const char* operation, cudaError_t error) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(operation) +
                           ": the CUDA kernel could not be launched: " + cudaGetErrorString(error));
}

struct Device {
  static constexpr const char* kProvider = "CUDAExecutionProvider";

  template <typename T>
  static void dpw_conv(const Call& call, const DPWConvParams& params, const T* x, const T* theta, const T* bias,
                       const T* previous, T* y) {
    const hyperseg::cuda::DPWConvPointers pointers{x, theta, bias, previous, y};
    require_launched("DPWConv", launch_dpw_conv(params, kDataType<T>, pointers, stream_of(call)));
  }

  template <typename T>
  static void dpw_inverted_residual(const Call& call, const DPWInvertedResidualParams& params, const T* x,
                                    const T* theta, const T* bias1, const T* bias2, const T* bias3, const T* previous,
                                    T* y) {
    const hyperseg::cuda::DPWInvertedResidualPointers pointers{x, theta, bias1, bias2, bias3, previous, y};
    require_launched("DPWInvertedResidual",
                     launch_dpw_inverted_residual(params, kDataType<T>, pointers, stream_of(call)));
  }

  template <typename T>
  static void upsample_argmax(const Call& call, const UpsampleArgmaxParams& params, const T* x, std::int32_t* labels) {
    require_launched("UpsampleArgmax", launch_upsample_argmax(params, kDataType<T>, hyperseg::cuda::LabelType::kInt32,
                                                              x, labels, stream_of(call)));
  }
};

}  // namespace hyperseg::ort::cuda

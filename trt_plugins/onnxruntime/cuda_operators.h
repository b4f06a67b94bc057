#pragma once

#include <cuda_runtime_api.h>

#include "cpu/half.h"
#include "launch.h"
#include "onnxruntime/call.h"
#include "onnxruntime/operators.h"

/// The operators on ONNX Runtime's CUDA provider, for one storage type each: the kernels of trt_plugins/cuda on the
/// provider's stream. Contracts are in hyperseg/*.h.
namespace hyperseg::ort::cuda {

constexpr const char* kCudaProvider = "CUDAExecutionProvider";

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

template <typename T>
class DPWConv {
 public:
  using Input = T;
  using Output = T;
  static constexpr const char* kName = "DPWConv";
  static constexpr const char* kProvider = kCudaProvider;
  static constexpr std::size_t kInputs = 4;
  static constexpr bool optional(std::size_t input) { return input >= 2; }

  explicit DPWConv(const Node& node) : attributes_(read_dpw_conv(node)) {}

  void compute(Call& call) const {
    DPWConvParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), &params));
    T* y = call.output<T>(params.output());
    const hyperseg::cuda::DPWConvPointers pointers{call.data<T>(0), call.data<T>(1), call.data<T>(2), call.data<T>(3),
                                                   y};
    require_launched(kName, launch_dpw_conv(params, kDataType<T>, pointers, stream_of(call)));
  }

 private:
  DPWConvAttributes attributes_;
};

template <typename T>
class DPWInvertedResidual {
 public:
  using Input = T;
  using Output = T;
  static constexpr const char* kName = "DPWInvertedResidual";
  static constexpr const char* kProvider = kCudaProvider;
  static constexpr std::size_t kInputs = 6;
  static constexpr bool optional(std::size_t input) { return input >= 5; }

  explicit DPWInvertedResidual(const Node& node) : attributes_(read_dpw_inverted_residual(node)) {}

  void compute(Call& call) const {
    DPWInvertedResidualParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), call.shape(4),
                     call.shape(5), &params));
    T* y = call.output<T>(params.output());
    const hyperseg::cuda::DPWInvertedResidualPointers pointers{
        call.data<T>(0), call.data<T>(1), call.data<T>(2), call.data<T>(3), call.data<T>(4), call.data<T>(5), y};
    require_launched(kName, launch_dpw_inverted_residual(params, kDataType<T>, pointers, stream_of(call)));
  }

 private:
  DPWInvertedResidualAttributes attributes_;
};

template <typename T>
class UpsampleArgmax {
 public:
  using Input = T;
  using Output = std::int32_t;
  static constexpr const char* kName = "UpsampleArgmax";
  static constexpr const char* kProvider = kCudaProvider;
  static constexpr std::size_t kInputs = 1;
  static constexpr bool optional(std::size_t input) { return input >= 1; }

  explicit UpsampleArgmax(const Node& node) { attributes_.scale = node.integer("scale", 1); }

  void compute(Call& call) const {
    UpsampleArgmaxParams params;
    require(validate(attributes_, call.shape(0), &params));
    std::int32_t* labels = call.output<std::int32_t>(params.output());
    require_launched(kName, launch_upsample_argmax(params, kDataType<T>, call.data<T>(0), labels, stream_of(call)));
  }

 private:
  UpsampleArgmaxAttributes attributes_;
};

}  // namespace hyperseg::ort::cuda

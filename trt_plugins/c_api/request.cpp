#include "request.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <string>

#include "hyperseg/dpw_conv.h"
#include "hyperseg/dpw_inverted_residual.h"
#include "hyperseg/upsample_argmax.h"
#include "labels_params.h"
#include "launch.h"

namespace {

hyperseg::Shape shape_of(const HyperSegTensor& tensor) {
  return tensor.data ? hyperseg::Shape(tensor.extents, static_cast<int>(tensor.rank)) : hyperseg::Shape();
}

hyperseg::cuda::MapLayout layout_of(const HyperSegRequest& request) {
  return static_cast<hyperseg::cuda::MapLayout>(request.x_layout);
}

/// Result of a request.
struct Outcome {
  HyperSegResult result = kLaunched;
  std::string reason;
};

/// Errors for a device or shape that the kernels do not support, as opposed to failures.
bool refuses(cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidConfiguration:
      return true;
    default:
      return false;
  }
}

Outcome outcome_of(cudaError_t error) {
  if (error == cudaSuccess) return {};
  std::string reason = std::string("the CUDA kernel could not be launched: ") + cudaGetErrorString(error);
  if (error == cudaErrorNoKernelImageForDevice) {
    reason += "; build libhyperseg_cuda.so for this GPU (CMAKE_CUDA_ARCHITECTURES=native)";
  }
  return {refuses(error) ? kRefused : kFailed, reason};
}

std::string read(const HyperSegRequest& request, hyperseg::DPWConvParams* params) {
  const HyperSegTensor* inputs = request.inputs;
  const hyperseg::DPWConvAttributes attributes{request.kernel,
                                               request.kernel,
                                               request.group,
                                               static_cast<hyperseg::Activation>(request.activation),
                                               request.offset,
                                               request.coordinates != 0,
                                               {request.piece_begin, request.piece_length}};
  return validate(attributes, shape_of(inputs[0]), shape_of(inputs[1]), shape_of(inputs[2]), shape_of(inputs[3]),
                  params);
}

std::string read(const HyperSegRequest& request, hyperseg::DPWInvertedResidualParams* params) {
  const HyperSegTensor* inputs = request.inputs;
  const hyperseg::DPWInvertedResidualAttributes attributes{request.kernel,
                                                           request.kernel,
                                                           request.offset,
                                                           request.coordinates != 0,
                                                           {request.piece_begin, request.piece_length}};
  return validate(attributes, shape_of(inputs[0]), shape_of(inputs[1]), shape_of(inputs[2]), shape_of(inputs[3]),
                  shape_of(inputs[4]), shape_of(inputs[5]), params);
}

/// Error message if the current device has less shared memory than a thread block needs; empty if it has enough.
std::string exceeds_device(std::size_t shared_bytes) {
  constexpr std::size_t kEverywhere = 64 << 10;  // on every architecture from sm_75 on
  if (shared_bytes <= kEverywhere) return {};
  int device = 0;
  int largest = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&largest, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error != cudaSuccess || shared_bytes <= static_cast<std::size_t>(largest)) return {};  // a launch reports it
  return "a thread block needs " + std::to_string(shared_bytes) +
         " bytes of shared memory for these channels, the device has " + std::to_string(largest);
}

/// Reads a level's request. Returns why the kernels or the device do not support it; empty if they do.
template <typename Params>
std::string prepare(const HyperSegRequest& request, hyperseg::cuda::DataType type, Params* params) {
  const std::string error = read(request, params);
  return error.empty() ? exceeds_device(hyperseg::cuda::shared_bytes(*params, type)) : error;
}

Outcome run_dpw_conv(const HyperSegRequest& request, hyperseg::cuda::DataType type, cudaStream_t stream) {
  const HyperSegTensor* inputs = request.inputs;
  hyperseg::DPWConvParams params;
  if (const std::string error = prepare(request, type, &params); !error.empty()) return {kRefused, error};
  return outcome_of(launch_dpw_conv(
      params, type,
      {inputs[0].data, inputs[1].data, inputs[2].data, inputs[3].data, request.output, layout_of(request)}, stream));
}

Outcome run_dpw_inverted_residual(const HyperSegRequest& request, hyperseg::cuda::DataType type, cudaStream_t stream) {
  const HyperSegTensor* inputs = request.inputs;
  hyperseg::DPWInvertedResidualParams params;
  if (const std::string error = prepare(request, type, &params); !error.empty()) return {kRefused, error};
  return outcome_of(launch_dpw_inverted_residual(params, type,
                                                 {inputs[0].data, inputs[1].data, inputs[2].data, inputs[3].data,
                                                  inputs[4].data, inputs[5].data, request.output, layout_of(request)},
                                                 stream));
}

Outcome run_upsample_argmax(const HyperSegRequest& request, hyperseg::cuda::DataType type, cudaStream_t stream) {
  hyperseg::UpsampleArgmaxParams params;
  const hyperseg::Shape x = shape_of(request.inputs[0]);
  const double* window = request.window;
  const hyperseg::UpsampleArgmaxTarget target{request.out_height, request.out_width, window[0],
                                              window[1],          window[2],         window[3]};
  const std::string error = request.scale == 0
                                ? validate(target, x, &params)
                                : validate(hyperseg::UpsampleArgmaxAttributes{request.scale}, x, &params);
  if (!error.empty()) return {kRefused, error};
  const auto label_type = static_cast<hyperseg::cuda::LabelType>(request.label_type);
  if (label_type == hyperseg::cuda::LabelType::kUint8 && params.channels > 256) {
    return {kRefused, "UpsampleArgmax: X has " + std::to_string(params.channels) + " channels; uint8 tells 256 apart"};
  }
  return outcome_of(launch_upsample_argmax(params, type, label_type, request.inputs[0].data, request.output, stream));
}

Outcome run(const HyperSegLabels& request, cudaStream_t stream) {
  hyperseg::UpsampleArgmaxParams params;
  if (const std::string error = validate(request, &params); !error.empty()) return {kRefused, error};
  return outcome_of(launch_upsample_argmax(params, static_cast<hyperseg::cuda::DataType>(request.data_type),
                                           hyperseg::cuda::LabelType::kUint8, request.logits, request.labels, stream));
}

Outcome run(const HyperSegRequest& request, cudaStream_t stream) {
  const auto type = static_cast<hyperseg::cuda::DataType>(request.data_type);
  switch (request.operation) {
    case kDPWConv:
      return run_dpw_conv(request, type, stream);
    case kDPWInvertedResidual:
      return run_dpw_inverted_residual(request, type, stream);
    case kUpsampleArgmax:
      return run_upsample_argmax(request, type, stream);
    default:
      return {kFailed, "operator " + std::to_string(request.operation) + " is not known"};
  }
}

int told(const Outcome& outcome, char* message, size_t message_bytes) {
  if (message_bytes > 0) std::snprintf(message, message_bytes, "%s", outcome.reason.c_str());
  return outcome.result;
}

}  // namespace

int hyperseg_cuda_interface(void) {
  return HYPERSEG_CUDA_INTERFACE;
}

int hyperseg_launch(const HyperSegRequest* request, void* stream, char* message, size_t message_bytes) {
  return told(run(*request, static_cast<cudaStream_t>(stream)), message, message_bytes);
}

int hyperseg_labels_interface(void) {
  return HYPERSEG_LABELS_INTERFACE;
}

int hyperseg_launch_labels(const HyperSegLabels* request, void* stream, char* message, size_t message_bytes) {
  return told(run(*request, static_cast<cudaStream_t>(stream)), message, message_bytes);
}

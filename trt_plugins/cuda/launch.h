#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "hyperseg/dpw_conv.h"
#include "hyperseg/dpw_inverted_residual.h"
#include "hyperseg/upsample_argmax.h"

/// Launch functions of the operators. Each takes device pointers, parameters made by `validate`, and a stream; it
/// enqueues one kernel and returns the launch's error. Nothing is allocated, synchronised or created, so that a launch
/// may be captured in a CUDA graph. All tensors are contiguous NCHW, except X in another layout and theta (see
/// Theta), and begin at addresses of cudaMalloc, or at multiples of 16 bytes from them.
namespace hyperseg::cuda {

/// Common storage type of X, theta, biases, previous and Y. Sums are in float32.
enum class DataType : int { kFloat32 = 0, kFloat16 = 1 };

/// Storage type of labels.
enum class LabelType : int { kInt32 = 0, kUint8 = 1 };

/// Memory layout of a feature map: NCHW (contiguous), NHWC (channels last), and NHWC with the channels padded to a
/// multiple of 8. TensorRT's names for them are kLINEAR, kHWC and kHWC8.
enum class MapLayout : int { kNCHW = 0, kNHWC = 1, kNHWC8 = 2 };

struct DPWConvPointers {
  const void* x = nullptr;
  const void* theta = nullptr;
  const void* bias = nullptr;      ///< null unless params.has_bias
  const void* previous = nullptr;  ///< null unless params.input.previous_channels > 0
  void* y = nullptr;
  MapLayout x_layout = MapLayout::kNCHW;
};

struct DPWInvertedResidualPointers {
  const void* x = nullptr;
  const void* theta = nullptr;
  const void* bias1 = nullptr;
  const void* bias2 = nullptr;
  const void* bias3 = nullptr;
  const void* previous = nullptr;  ///< null unless params.input.previous_channels > 0
  void* y = nullptr;
  MapLayout x_layout = MapLayout::kNCHW;
};

cudaError_t launch_dpw_conv(const DPWConvParams& params, DataType type, const DPWConvPointers& pointers,
                            cudaStream_t stream);

cudaError_t launch_dpw_inverted_residual(const DPWInvertedResidualParams& params, DataType type,
                                         const DPWInvertedResidualPointers& pointers, cudaStream_t stream);

/// Labels as int32, or as uint8 where there are at most 256 channels. X and labels may begin at any address that their
/// types allow, as those of one image of a batch do.
cudaError_t launch_upsample_argmax(const UpsampleArgmaxParams& params, DataType type, LabelType label_type,
                                   const void* x, void* labels, cudaStream_t stream);

/// Shared memory of one thread block of the kernel that the launch would choose. A device whose
/// cudaDevAttrMaxSharedMemoryPerBlockOptin is less cannot run these channel counts; the launch then returns
/// cudaErrorInvalidValue. No preset needs more than 64 KiB, which every architecture from sm_75 on has.
std::size_t shared_bytes(const DPWConvParams& params, DataType type);
std::size_t shared_bytes(const DPWInvertedResidualParams& params, DataType type);

}  // namespace hyperseg::cuda

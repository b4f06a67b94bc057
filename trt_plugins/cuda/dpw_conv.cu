#include "launch.h"
namespace hyperseg::cuda {
cudaError_t launch_dpw_conv(const DPWConvParams&, DataType, const DPWConvPointers&, cudaStream_t) {
  return cudaErrorNotSupported;
}
cudaError_t launch_upsample_argmax(const UpsampleArgmaxParams&, DataType, const void*, std::int32_t*, cudaStream_t) {
  return cudaErrorNotSupported;
}
}  // namespace hyperseg::cuda

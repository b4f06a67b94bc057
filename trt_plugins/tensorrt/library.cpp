// Entry points of the plugin library. Nothing here, or anywhere in the library, calls into TensorRT's own
// libraries: REGISTER_TENSORRT_PLUGIN would need them at link time and break when the registry changes between major
// versions. One build of this library serves TensorRT 10, TensorRT 11 and TensorRT for RTX.
#include <array>

#include "dpw_conv.h"
#include "dpw_inverted_residual.h"
#include "logging.h"
#include "operator_creator.h"
#include "upsample_argmax.h"

#define HYPERSEG_EXPORT __attribute__((visibility("default")))

extern "C" {

HYPERSEG_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  hyperseg::tensorrt::set_logger_finder(finder);
}

HYPERSEG_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  using hyperseg::tensorrt::OperatorCreator;
  static OperatorCreator<hyperseg::tensorrt::DPWConvOperator> dpw_conv;
  static OperatorCreator<hyperseg::tensorrt::DPWInvertedResidualOperator> dpw_inverted_residual;
  static OperatorCreator<hyperseg::tensorrt::UpsampleArgmaxOperator> upsample_argmax;
  static const std::array<nvinfer1::IPluginCreatorInterface*, 3> creators{&dpw_conv, &dpw_inverted_residual,
                                                                          &upsample_argmax};
  count = static_cast<std::int32_t>(creators.size());
  return creators.data();
}

}  // extern "C"

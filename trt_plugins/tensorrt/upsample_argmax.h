#pragma once

#include "fields.h"
#include "hyperseg/upsample_argmax.h"
#include "tensors.h"

namespace hyperseg::tensorrt {

/// UpsampleArgmax(X) -> labels. The labels are INT32: plugins cannot output UINT8
/// (IPluginV3OneBuild::getOutputDataTypes in NvInferRuntime.h), and INT32 cannot be cast to it (DataType::kUINT8). In
/// the graph follow a cast to float or half, and one to UINT8.
struct UpsampleArgmaxOperator {
  using Attributes = UpsampleArgmaxAttributes;
  using Params = UpsampleArgmaxParams;

  static constexpr const char* kName = "UpsampleArgmax";
  static constexpr const char* kFields[] = {"scale"};
  static constexpr int kLeastInputs = 1;
  static constexpr int kMostInputs = 1;

  static Attributes read(FieldReader& fields);
  static void write(const Attributes& attributes, FieldWriter& fields);
  static bool takes_x(const Attributes& /*attributes*/, nvinfer1::DataType /*type*/, nvinfer1::TensorFormat format) {
    return format == nvinfer1::TensorFormat::kLINEAR;
  }
  static nvinfer1::DataType output_type(nvinfer1::DataType /*input*/) { return nvinfer1::DataType::kINT32; }
  static Error output_shape(const Attributes& attributes, const SymbolicShapes& inputs, nvinfer1::DimsExprs* output);
  static Error validate(const Attributes& attributes, const InputShapes& inputs, Params* params);
  static cudaError_t launch(const Params& params, const InputShapes& shapes, cuda::DataType type,
                            cuda::MapLayout x_layout, const void* const* inputs, void* output, cudaStream_t stream);
};

}  // namespace hyperseg::tensorrt

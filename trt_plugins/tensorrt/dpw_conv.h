#pragma once

#include "fields.h"
#include "hyperseg/dpw_conv.h"
#include "placement.h"
#include "tensors.h"

namespace hyperseg::tensorrt {

/// DPWConv(X, theta, bias?, previous?). Parsers drop optional inputs that are absent, so the third input is told apart
/// by its rank: bias has one axis, previous four.
struct DPWConvOperator {
  using Attributes = Placed<DPWConvAttributes>;
  using Params = DPWConvParams;

  static constexpr const char* kName = "DPWConv";
  static constexpr const char* kFields[] = {"kernel_shape", "group",         "activation",  "offset",
                                            "coordinates",  "channels_last", "piece_begin", "piece_length"};
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = 4;

  static Attributes read(FieldReader& fields);
  static void write(const Attributes& attributes, FieldWriter& fields);
  static bool takes_x(const Attributes& attributes, nvinfer1::DataType type, nvinfer1::TensorFormat format) {
    return attributes.takes(type, format);
  }
  static nvinfer1::DataType output_type(nvinfer1::DataType input) { return input; }
  static Error output_shape(const Attributes& attributes, const SymbolicShapes& inputs, nvinfer1::DimsExprs* output);
  static Error validate(const Attributes& attributes, const InputShapes& inputs, Params* params);
  static cudaError_t launch(const Params& params, const InputShapes& shapes, cuda::DataType type,
                            cuda::MapLayout x_layout, const void* const* inputs, void* output, cudaStream_t stream);
};

}  // namespace hyperseg::tensorrt

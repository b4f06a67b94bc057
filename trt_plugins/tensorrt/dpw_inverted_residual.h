#pragma once

#include "fields.h"
#include "hyperseg/dpw_inverted_residual.h"
#include "placement.h"
#include "tensors.h"

namespace hyperseg::tensorrt {

/// DPWInvertedResidual(X, theta, bias1, bias2, bias3, previous?).
struct DPWInvertedResidualOperator {
  using Attributes = Placed<DPWInvertedResidualAttributes>;
  using Params = DPWInvertedResidualParams;

  static constexpr const char* kName = "DPWInvertedResidual";
  static constexpr const char* kFields[] = {"kernel_shape",  "offset",      "coordinates",
                                            "channels_last", "piece_begin", "piece_length"};
  static constexpr int kLeastInputs = 5;
  static constexpr int kMostInputs = 6;

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

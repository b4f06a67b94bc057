#include "upsample_argmax.h"

#include <cstdint>
#include <string>

namespace hyperseg::tensorrt {
namespace {

/// Far above any network's output stride; keeps extents within an int.
constexpr int kLargestScale = 1 << 12;

}  // namespace

UpsampleArgmaxOperator::Attributes UpsampleArgmaxOperator::read(FieldReader& fields) {
  Attributes attributes;
  fields.integer("scale", Presence::kRequired, 1, kLargestScale, &attributes.scale);
  return attributes;
}

void UpsampleArgmaxOperator::write(const Attributes& attributes, FieldWriter& fields) {
  fields.integer("scale", attributes.scale);
}

Error UpsampleArgmaxOperator::output_shape(const Attributes& attributes, const SymbolicShapes& inputs,
                                           nvinfer1::DimsExprs* output) {
  if (inputs.rank(0) != 4) return "X has " + std::to_string(inputs.rank(0)) + " axes; expected 4";
  const SymbolicShapes::Extent scale = inputs.number(attributes.scale);
  set_shape(output, {inputs.extent(0, 0), inputs.multiply(inputs.extent(0, 2), scale),
                     inputs.multiply(inputs.extent(0, 3), scale)});
  return {};
}

Error UpsampleArgmaxOperator::validate(const Attributes& attributes, const InputShapes& inputs, Params* params) {
  return hyperseg::validate(attributes, inputs[0], params);
}

cudaError_t UpsampleArgmaxOperator::launch(const Params& params, const InputShapes& /*shapes*/, cuda::DataType type,
                                           cuda::MapLayout /*x_layout*/, const void* const* inputs, void* output,
                                           cudaStream_t stream) {
  return cuda::launch_upsample_argmax(params, type, cuda::LabelType::kInt32, inputs[0], output, stream);
}

}  // namespace hyperseg::tensorrt

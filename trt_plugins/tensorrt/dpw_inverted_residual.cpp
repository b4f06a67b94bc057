#include "dpw_inverted_residual.h"

#include <limits>
#include <string>

namespace hyperseg::tensorrt {
namespace {

enum Input { kX = 0, kTheta = 1, kBias1 = 2, kBias2 = 3, kBias3 = 4, kPrevious = 5 };

}  // namespace

DPWInvertedResidualOperator::Attributes DPWInvertedResidualOperator::read(FieldReader& fields) {
  Attributes attributes;
  fields.pair("kernel_shape", Presence::kRequired, 3, 3, &attributes.kernel_height, &attributes.kernel_width);
  fields.integer("offset", Presence::kOptional, 0, std::numeric_limits<int>::max(), &attributes.offset);
  fields.flag("coordinates", &attributes.coordinates);
  attributes.read(fields);
  return attributes;
}

void DPWInvertedResidualOperator::write(const Attributes& attributes, FieldWriter& fields) {
  fields.pair("kernel_shape", attributes.kernel_height, attributes.kernel_width);
  fields.integer("offset", attributes.offset);
  fields.integer("coordinates", attributes.coordinates ? 1 : 0);
  attributes.write(fields);
}

Error DPWInvertedResidualOperator::output_shape(const Attributes& /*attributes*/, const SymbolicShapes& inputs,
                                                nvinfer1::DimsExprs* output) {
  constexpr int kRanks[] = {4, 5, 1, 1, 1, 4};
  for (int i = 0; i < inputs.count(); ++i) {
    if (inputs.rank(i) != kRanks[i]) {
      return "input " + std::to_string(i) + " has " + std::to_string(inputs.rank(i)) + " axes; expected " +
             std::to_string(kRanks[i]) + " (X, theta, bias1, bias2, bias3, previous)";
    }
  }
  set_shape(output, {inputs.extent(kX, 0), inputs.extent(kBias3, 0), inputs.extent(kX, 2), inputs.extent(kX, 3)});
  return {};
}

Error DPWInvertedResidualOperator::validate(const Attributes& attributes, const InputShapes& inputs, Params* params) {
  return hyperseg::validate(attributes, inputs[kX], inputs[kTheta], inputs[kBias1], inputs[kBias2], inputs[kBias3],
                            inputs[kPrevious], params);
}

cudaError_t DPWInvertedResidualOperator::launch(const Params& params, const InputShapes& shapes, cuda::DataType type,
                                                cuda::MapLayout x_layout, const void* const* inputs, void* output,
                                                cudaStream_t stream) {
  const void* previous = shapes.count() > kPrevious ? inputs[kPrevious] : nullptr;
  const cuda::DPWInvertedResidualPointers pointers{inputs[kX],     inputs[kTheta], inputs[kBias1], inputs[kBias2],
                                                   inputs[kBias3], previous,       output,         x_layout};
  return cuda::launch_dpw_inverted_residual(params, type, pointers, stream);
}

}  // namespace hyperseg::tensorrt

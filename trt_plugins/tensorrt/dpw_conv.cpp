#include "dpw_conv.h"

#include <limits>
#include <string>

namespace hyperseg::tensorrt {
namespace {

enum Input { kX = 0, kTheta = 1, kFirstOptional = 2 };

constexpr int kAbsent = InputShapes::kMost;

/// Positions of the optional inputs.
struct Optional {
  int bias = kAbsent;
  int previous = kAbsent;
};

template <typename Shapes>
Error find_optional(const Shapes& inputs, Optional* found) {
  for (int i = kFirstOptional; i < inputs.count(); ++i) {
    if (inputs.rank(i) == 1 && i == kFirstOptional) {
      found->bias = i;
    } else if (inputs.rank(i) == 4 && found->previous == kAbsent) {
      found->previous = i;
    } else {
      return "input " + std::to_string(i) + " has " + std::to_string(inputs.rank(i)) +
             " axes; after X and theta come bias (1 axis) and previous (4 axes), either may be left out";
    }
  }
  return {};
}

/// Output channels that the weights from `offset` on allow, computed as in the contract's `validate`.
SymbolicShapes::Extent channels_of_theta(const DPWConvAttributes& attributes, const SymbolicShapes& inputs,
                                         const Optional& optional) {
  SymbolicShapes::Extent channels = inputs.add(inputs.extent(kX, 1), inputs.number(attributes.coordinates ? 2 : 0));
  if (optional.previous != kAbsent) channels = inputs.add(channels, inputs.extent(optional.previous, 1));
  const SymbolicShapes::Extent group = inputs.number(attributes.group);
  const SymbolicShapes::Extent area = inputs.number(attributes.kernel_height * attributes.kernel_width);
  const SymbolicShapes::Extent per_channel = inputs.multiply(inputs.divide(channels, group), area);
  const int length = attributes.rows.length;
  const SymbolicShapes::Extent piece = length > 0 ? inputs.number(length) : inputs.extent(kTheta, 4);
  const SymbolicShapes::Extent weights = inputs.multiply(inputs.extent(kTheta, 1), piece);
  const SymbolicShapes::Extent available = inputs.subtract(weights, inputs.number(attributes.offset));
  return inputs.multiply(inputs.divide(inputs.divide(available, per_channel), group), group);
}

}  // namespace

DPWConvOperator::Attributes DPWConvOperator::read(FieldReader& fields) {
  constexpr int kLargest = std::numeric_limits<int>::max();
  Attributes attributes;
  std::string activation = "none";
  fields.pair("kernel_shape", Presence::kRequired, 1, 63, &attributes.kernel_height, &attributes.kernel_width);
  fields.integer("group", Presence::kOptional, 1, static_cast<int>(kMaxChannels), &attributes.group);
  fields.text("activation", &activation);
  fields.integer("offset", Presence::kOptional, 0, kLargest, &attributes.offset);
  fields.flag("coordinates", &attributes.coordinates);
  attributes.read(fields);
  if (attributes.kernel_height != attributes.kernel_width || attributes.kernel_height % 2 == 0) {
    fields.fail("kernel_shape is [" + std::to_string(attributes.kernel_height) + ", " +
                std::to_string(attributes.kernel_width) + "]; it must be square and odd");
  }
  if (Error error = parse_activation("activation", activation, &attributes.activation); !error.empty()) {
    fields.fail(error);
  }
  return attributes;
}

void DPWConvOperator::write(const Attributes& attributes, FieldWriter& fields) {
  fields.pair("kernel_shape", attributes.kernel_height, attributes.kernel_width);
  fields.integer("group", attributes.group);
  const bool relu = attributes.activation == Activation::kRelu;
  fields.text("activation", attributes.activation == Activation::kNone ? "none" : relu ? "relu" : "relu6");
  fields.integer("offset", attributes.offset);
  fields.integer("coordinates", attributes.coordinates ? 1 : 0);
  attributes.write(fields);
}

Error DPWConvOperator::output_shape(const Attributes& attributes, const SymbolicShapes& inputs,
                                    nvinfer1::DimsExprs* output) {
  if (inputs.rank(kX) != 4) return "X has " + std::to_string(inputs.rank(kX)) + " axes; expected 4";
  if (inputs.rank(kTheta) != 5) return "theta has " + std::to_string(inputs.rank(kTheta)) + " axes; expected 5";
  Optional optional;
  if (Error error = find_optional(inputs, &optional); !error.empty()) return error;
  const SymbolicShapes::Extent channels =
      optional.bias != kAbsent ? inputs.extent(optional.bias, 0) : channels_of_theta(attributes, inputs, optional);
  set_shape(output, {inputs.extent(kX, 0), channels, inputs.extent(kX, 2), inputs.extent(kX, 3)});
  return {};
}

Error DPWConvOperator::validate(const Attributes& attributes, const InputShapes& inputs, Params* params) {
  Optional optional;
  if (Error error = find_optional(inputs, &optional); !error.empty()) return error;
  return hyperseg::validate(attributes, inputs[kX], inputs[kTheta], inputs[optional.bias], inputs[optional.previous],
                            params);
}

cudaError_t DPWConvOperator::launch(const Params& params, const InputShapes& shapes, cuda::DataType type,
                                    cuda::MapLayout x_layout, const void* const* inputs, void* output,
                                    cudaStream_t stream) {
  Optional optional;
  find_optional(shapes, &optional);  // validated already
  const auto at = [&](int index) { return index == kAbsent ? nullptr : inputs[index]; };
  const cuda::DPWConvPointers pointers{inputs[kX], inputs[kTheta], at(optional.bias), at(optional.previous),
                                       output,     x_layout};
  return cuda::launch_dpw_conv(params, type, pointers, stream);
}

}  // namespace hyperseg::tensorrt

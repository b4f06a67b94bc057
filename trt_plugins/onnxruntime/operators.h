#pragma once

#include "onnxruntime/call.h"
#include "onnxruntime/node.h"

/// The operators that all providers have, templates over the storage type: attributes, shapes and tensors. The kernels
/// are those of the Device (cpu_operators.h, cuda_operators.h). Contracts are in hyperseg/*.h.
namespace hyperseg::ort {

inline DPWConvAttributes read_dpw_conv(const Node& node) {
  DPWConvAttributes attributes;
  node.pair("kernel_shape", &attributes.kernel_height, &attributes.kernel_width);
  attributes.group = node.integer("group", 1);
  attributes.offset = node.integer("offset", 0);
  attributes.coordinates = node.integer("coordinates", 0) != 0;
  require(parse_activation("DPWConv", node.text("activation", "none"), &attributes.activation));
  return attributes;
}

inline DPWInvertedResidualAttributes read_dpw_inverted_residual(const Node& node) {
  DPWInvertedResidualAttributes attributes;
  node.pair("kernel_shape", &attributes.kernel_height, &attributes.kernel_width);
  attributes.offset = node.integer("offset", 0);
  attributes.coordinates = node.integer("coordinates", 0) != 0;
  return attributes;
}

template <typename Device, typename T>
class DPWConv {
 public:
  using Input = T;
  using Output = T;
  static constexpr const char* kName = "DPWConv";
  static constexpr const char* kProvider = Device::kProvider;
  static constexpr std::size_t kInputs = 4;
  static constexpr bool optional(std::size_t input) { return input >= 2; }

  explicit DPWConv(const Node& node) : attributes_(read_dpw_conv(node)) {}

  void compute(Call& call) const {
    DPWConvParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), &params));
    T* y = call.output<T>(params.output());
    Device::dpw_conv(call, params, call.data<T>(0), call.data<T>(1), call.data<T>(2), call.data<T>(3), y);
  }

 private:
  DPWConvAttributes attributes_;
};

template <typename Device, typename T>
class DPWInvertedResidual {
 public:
  using Input = T;
  using Output = T;
  static constexpr const char* kName = "DPWInvertedResidual";
  static constexpr const char* kProvider = Device::kProvider;
  static constexpr std::size_t kInputs = 6;
  static constexpr bool optional(std::size_t input) { return input >= 5; }

  explicit DPWInvertedResidual(const Node& node) : attributes_(read_dpw_inverted_residual(node)) {}

  void compute(Call& call) const {
    DPWInvertedResidualParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), call.shape(4),
                     call.shape(5), &params));
    T* y = call.output<T>(params.output());
    Device::dpw_inverted_residual(call, params, call.data<T>(0), call.data<T>(1), call.data<T>(2), call.data<T>(3),
                                  call.data<T>(4), call.data<T>(5), y);
  }

 private:
  DPWInvertedResidualAttributes attributes_;
};

template <typename Device, typename T>
class UpsampleArgmax {
 public:
  using Input = T;
  using Output = std::int32_t;
  static constexpr const char* kName = "UpsampleArgmax";
  static constexpr const char* kProvider = Device::kProvider;
  static constexpr std::size_t kInputs = 1;
  static constexpr bool optional(std::size_t input) { return input >= 1; }

  explicit UpsampleArgmax(const Node& node) { attributes_.scale = node.integer("scale", 1); }

  void compute(Call& call) const {
    UpsampleArgmaxParams params;
    require(validate(attributes_, call.shape(0), &params));
    std::int32_t* labels = call.output<std::int32_t>(params.output());
    Device::upsample_argmax(call, params, call.data<T>(0), labels);
  }

 private:
  UpsampleArgmaxAttributes attributes_;
};

}  // namespace hyperseg::ort

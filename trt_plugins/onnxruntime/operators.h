#pragma once

#include "cpu/kernels.h"
#include "onnxruntime/call.h"
#include "onnxruntime/node.h"

/// The operators on ONNX Runtime's CPU provider, for one storage type each. Contracts are in hyperseg/*.h.
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

template <typename T>
class DPWConv {
 public:
  using Input = T;
  using Output = T;
  static constexpr const char* kName = "DPWConv";
  static constexpr const char* kProvider = nullptr;
  static constexpr std::size_t kInputs = 4;
  static constexpr bool optional(std::size_t input) { return input >= 2; }

  explicit DPWConv(const Node& node) : attributes_(read_dpw_conv(node)) {}

  void compute(Call& call) const {
    DPWConvParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), &params));
    T* y = call.output<T>(params.output());
    cpu::dpw_conv(params, call.data<T>(0), call.data<T>(1), call.data<T>(2), call.data<T>(3), y, SessionWorkers(call));
  }

 private:
  DPWConvAttributes attributes_;
};

template <typename T>
class DPWInvertedResidual {
 public:
  using Input = T;
  using Output = T;
  static constexpr const char* kName = "DPWInvertedResidual";
  static constexpr const char* kProvider = nullptr;
  static constexpr std::size_t kInputs = 6;
  static constexpr bool optional(std::size_t input) { return input >= 5; }

  explicit DPWInvertedResidual(const Node& node) : attributes_(read_dpw_inverted_residual(node)) {}

  void compute(Call& call) const {
    DPWInvertedResidualParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), call.shape(4),
                     call.shape(5), &params));
    T* y = call.output<T>(params.output());
    const cpu::InvertedResidualInputs<T> inputs{call.data<T>(0), call.data<T>(1), call.data<T>(2),
                                                call.data<T>(3), call.data<T>(4), call.data<T>(5)};
    cpu::dpw_inverted_residual(params, inputs, y, SessionWorkers(call));
  }

 private:
  DPWInvertedResidualAttributes attributes_;
};

template <typename T>
class UpsampleArgmax {
 public:
  using Input = T;
  using Output = std::int32_t;
  static constexpr const char* kName = "UpsampleArgmax";
  static constexpr const char* kProvider = nullptr;
  static constexpr std::size_t kInputs = 1;
  static constexpr bool optional(std::size_t input) { return input >= 1; }

  explicit UpsampleArgmax(const Node& node) { attributes_.scale = node.integer("scale", 1); }

  void compute(Call& call) const {
    UpsampleArgmaxParams params;
    require(validate(attributes_, call.shape(0), &params));
    std::int32_t* labels = call.output<std::int32_t>(params.output());
    cpu::upsample_argmax(params, call.data<T>(0), labels, SessionWorkers(call));
  }

 private:
  UpsampleArgmaxAttributes attributes_;
};

inline InvertedResidualAttributes read_inverted_residual(const Node& node) {
  InvertedResidualAttributes attributes;
  node.pair("kernel_shape", &attributes.kernel_height, &attributes.kernel_width);
  node.pair("strides", &attributes.stride_height, &attributes.stride_width);
  const std::vector<int> pads = node.integers("pads", {0, 0, 0, 0});
  attributes.pad_top = pads[0];
  attributes.pad_left = pads[1];
  attributes.pad_bottom = pads[2];
  attributes.pad_right = pads[3];
  attributes.residual = node.integer("residual", 0) != 0;
  return attributes;
}

/// The encoder's block; float only.
class InvertedResidual {
 public:
  using Input = float;
  using Output = float;
  static constexpr const char* kName = "InvertedResidual";
  static constexpr const char* kProvider = nullptr;
  static constexpr std::size_t kInputs = 11;
  static constexpr bool optional(std::size_t input) { return input == 1 || input == 2; }

  explicit InvertedResidual(const Node& node) : attributes_(read_inverted_residual(node)) {}

  void compute(Call& call) const {
    const auto shape = [&](std::size_t input) { return call.shape(input); };
    const auto data = [&](std::size_t input) { return call.data<float>(input); };
    InvertedResidualParams params;
    require(validate(
        attributes_,
        {shape(0), shape(1), shape(2), shape(3), shape(4), shape(5), shape(6), shape(7), shape(8), shape(9), shape(10)},
        &params));
    float* y = call.output<float>(params.output());
    const WorkingMemory working(call, cpu::working_floats(params) * sizeof(float));
    cpu::inverted_residual(
        params, {data(0), data(1), data(2), data(3), data(4), data(5), data(6), data(7), data(8), data(9), data(10)},
        static_cast<float*>(working.data()), y, SessionWorkers(call));
  }

 private:
  InvertedResidualAttributes attributes_;
};

}  // namespace hyperseg::ort

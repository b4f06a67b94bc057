#pragma once

#include "cpu/kernels.h"
#include "onnxruntime/operators.h"

/// The operators for ONNX Runtime's CPU provider, on the session's thread pool, and the fused operators that exist only
/// on the CPU.
namespace hyperseg::ort {

struct CpuDevice {
  static constexpr const char* kProvider = nullptr;

  template <typename T>
  static void dpw_conv(const Call& call, const DPWConvParams& params, const T* x, const T* theta, const T* bias,
                       const T* previous, T* y) {
    cpu::dpw_conv(params, x, theta, bias, previous, y, SessionWorkers(call));
  }

  template <typename T>
  static void dpw_inverted_residual(const Call& call, const DPWInvertedResidualParams& params, const T* x,
                                    const T* theta, const T* bias1, const T* bias2, const T* bias3, const T* previous,
                                    T* y) {
    const cpu::DPWInvertedResidualInputs<T> inputs{x, theta, bias1, bias2, bias3, previous};
    cpu::dpw_inverted_residual(params, inputs, y, SessionWorkers(call));
  }

  template <typename T>
  static void upsample_argmax(const Call& call, const UpsampleArgmaxParams& params, const T* x, std::int32_t* labels) {
    cpu::upsample_argmax(params, x, labels, SessionWorkers(call));
  }
};

inline MBConvAttributes read_mbconv(const Node& node) {
  MBConvAttributes attributes;
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

/// DPWConv with its weight mapper; float only.
class FusedMapperDPWConv {
 public:
  using Input = float;
  using Output = float;
  static constexpr const char* kName = "FusedMapperDPWConv";
  static constexpr const char* kProvider = CpuDevice::kProvider;
  static constexpr std::size_t kInputs = 5;
  static constexpr bool optional(std::size_t input) { return input >= 3; }

  explicit FusedMapperDPWConv(const Node& node) : attributes_(read_dpw_conv(node)) {}

  void compute(Call& call) const {
    FusedMapperDPWConvParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), call.shape(4), &params));
    float* y = call.output<float>(params.conv.output());
    const auto data = [&](std::size_t input) { return call.data<float>(input); };
    cpu::fused_mapper_dpw_conv(params, {data(0), data(1), data(2), data(3), data(4)}, y, SessionWorkers(call));
  }

 private:
  DPWConvAttributes attributes_;
};

/// The meta block whose halo is computed with the neighbours' weights; float only.
class DPWMetaBlock {
 public:
  using Input = float;
  using Output = float;
  static constexpr const char* kName = "DPWMetaBlock";
  static constexpr const char* kProvider = CpuDevice::kProvider;
  static constexpr std::size_t kInputs = 6;
  static constexpr bool optional(std::size_t input) { return input >= 5; }

  explicit DPWMetaBlock(const Node& node) : attributes_(read_dpw_inverted_residual(node)) {}

  void compute(Call& call) const {
    DPWInvertedResidualParams params;
    require(validate(attributes_, call.shape(0), call.shape(1), call.shape(2), call.shape(3), call.shape(4),
                     call.shape(5), &params, kName));
    float* y = call.output<float>(params.output());
    const auto data = [&](std::size_t input) { return call.data<float>(input); };
    cpu::dpw_meta_block(params, {data(0), data(1), data(2), data(3), data(4), data(5)}, y, SessionWorkers(call));
  }

 private:
  DPWInvertedResidualAttributes attributes_;
};

/// The encoder's MBConv block; float only.
class MBConv {
 public:
  using Input = float;
  using Output = float;
  static constexpr const char* kName = "MBConv";
  static constexpr const char* kProvider = CpuDevice::kProvider;
  static constexpr std::size_t kInputs = 11;
  static constexpr bool optional(std::size_t input) { return input == 1 || input == 2; }

  explicit MBConv(const Node& node) : attributes_(read_mbconv(node)) {}

  void compute(Call& call) const {
    const auto shape = [&](std::size_t input) { return call.shape(input); };
    const auto data = [&](std::size_t input) { return call.data<float>(input); };
    MBConvParams params;
    require(validate(
        attributes_,
        {shape(0), shape(1), shape(2), shape(3), shape(4), shape(5), shape(6), shape(7), shape(8), shape(9), shape(10)},
        &params));
    float* y = call.output<float>(params.output());
    const WorkingMemory working(call, cpu::working_floats(params) * sizeof(float));
    cpu::mbconv(params,
                {data(0), data(1), data(2), data(3), data(4), data(5), data(6), data(7), data(8), data(9), data(10)},
                static_cast<float*>(working.data()), y, SessionWorkers(call));
  }

 private:
  MBConvAttributes attributes_;
};

/// Aliases: the operators' names in files of version 0.1.0, which still load.
struct MappedDPWConv : FusedMapperDPWConv {
  static constexpr const char* kName = "MappedDPWConv";
  using FusedMapperDPWConv::FusedMapperDPWConv;
};
struct InvertedResidual : MBConv {
  static constexpr const char* kName = "InvertedResidual";
  using MBConv::MBConv;
};

}  // namespace hyperseg::ort

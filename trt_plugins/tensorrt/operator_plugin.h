#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "fields.h"
#include "hyperseg/shape.h"
#include "logging.h"
#include "placement.h"
#include "tensors.h"

namespace hyperseg::tensorrt {

inline constexpr const char* kNamespace = "hyperseg";
inline constexpr const char* kVersion = "1";

/// Plugin of an operator: TensorRT's four interfaces, implemented once for all operators. `Operator` provides
///
///   kName                                   the ONNX operator
///   Attributes, Params                      of trt_plugins/include/hyperseg
///   kLeastInputs, kMostInputs, kOutputRank
///   read(FieldReader&) -> Attributes, write(Attributes, FieldWriter&)
///   takes_x(Attributes, type, format) -> bool        the formats of the first input
///   output_type(input type) -> DataType
///   output_shape(Attributes, SymbolicShapes, DimsExprs*) -> Error
///   validate(Attributes, InputShapes, Params*) -> Error
///   launch(Params, InputShapes, Type, MapLayout of the first input, inputs, output, stream) -> cudaError_t
///
/// All tensors but the first input are contiguous (kLINEAR). Inputs are all float32 or all float16. Nothing is
/// allocated or synchronised in enqueue: shapes are checked, and parameters made, in onShapeChange.
template <typename Operator>
class OperatorPlugin final : public nvinfer1::IPluginV3,
                             public nvinfer1::IPluginV3OneCore,
                             public nvinfer1::IPluginV3OneBuild,
                             public nvinfer1::IPluginV3OneRuntime {
  using Attributes = typename Operator::Attributes;
  using Params = typename Operator::Params;
  using Desc = nvinfer1::PluginTensorDesc;
  using DynamicDesc = nvinfer1::DynamicPluginTensorDesc;

 public:
  explicit OperatorPlugin(const Attributes& attributes) : attributes_(attributes) {
    Operator::write(attributes_, fields_);
    summary_ = fields_.summary();
  }

  // IPluginV3
  nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override {
    switch (type) {
      case nvinfer1::PluginCapabilityType::kCORE:
        return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case nvinfer1::PluginCapabilityType::kBUILD:
        return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case nvinfer1::PluginCapabilityType::kRUNTIME:
        return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }

  nvinfer1::IPluginV3* clone() noexcept override {
    return guarded<nvinfer1::IPluginV3*>(nullptr, [&] { return new OperatorPlugin(attributes_); });
  }

  // IPluginV3OneCore
  const char* getPluginName() const noexcept override { return Operator::kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  // IPluginV3OneBuild
  std::int32_t getNbOutputs() const noexcept override { return 1; }

  std::int32_t getOutputDataTypes(nvinfer1::DataType* outputs, std::int32_t output_count,
                                  const nvinfer1::DataType* inputs, std::int32_t input_count) const noexcept override {
    return guarded<std::int32_t>(-1, [&] {
      if (Error error = check_counts(input_count, output_count); !error.empty()) return failed(error);
      if (!storage_type(inputs[0])) return failed("input 0 has an unsupported type; use float32 or float16");
      for (int i = 1; i < input_count; ++i) {
        if (inputs[i] != inputs[0]) {
          return failed("input " + std::to_string(i) + " and input 0 differ in type; all must be float32 or float16");
        }
      }
      outputs[0] = Operator::output_type(inputs[0]);
      return 0;
    });
  }

  std::int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, std::int32_t input_count,
                               const nvinfer1::DimsExprs* /*shape_inputs*/, std::int32_t /*shape_input_count*/,
                               nvinfer1::DimsExprs* outputs, std::int32_t output_count,
                               nvinfer1::IExprBuilder& builder) noexcept override {
    return guarded<std::int32_t>(-1, [&] {
      if (Error error = check_counts(input_count, output_count); !error.empty()) return failed(error);
      const SymbolicShapes shapes(inputs, input_count, builder);
      if (shapes.constant()) {
        Params params;
        if (Error error = Operator::validate(attributes_, shapes.values(), &params); !error.empty()) {
          return failed(error);
        }
      }
      if (Error error = Operator::output_shape(attributes_, shapes, outputs); !error.empty()) return failed(error);
      return 0;
    });
  }

  bool supportsFormatCombination(std::int32_t position, const DynamicDesc* tensors, std::int32_t input_count,
                                 std::int32_t output_count) noexcept override {
    if (position < 0 || position >= input_count + output_count) return false;
    const Desc& tensor = tensors[position].desc;
    const nvinfer1::DataType first = tensors[0].desc.type;
    if (position == 0) return storage_type(first).has_value() && Operator::takes_x(attributes_, first, tensor.format);
    if (tensor.format != nvinfer1::TensorFormat::kLINEAR) return false;
    return tensor.type == (position < input_count ? first : Operator::output_type(first));
  }

  std::int32_t configurePlugin(const DynamicDesc* inputs, std::int32_t input_count, const DynamicDesc* /*outputs*/,
                               std::int32_t output_count) noexcept override {
    return guarded<std::int32_t>(-1, [&] {
      if (Error error = check_counts(input_count, output_count); !error.empty()) return failed(error);
      for (const auto bound : {&DynamicDesc::min, &DynamicDesc::opt, &DynamicDesc::max}) {
        InputShapes shapes;
        for (int i = 0; i < input_count; ++i) shapes.add(inputs[i].*bound);
        Params params;
        if (Error error = Operator::validate(attributes_, shapes, &params); !error.empty()) return failed(error);
      }
      return 0;
    });
  }

  /// Tactics measured for these attributes hold wherever shapes and types are the same.
  const char* getTimingCacheID() noexcept override { return summary_.c_str(); }
  /// Text for the engine inspector.
  const char* getMetadataString() noexcept override { return summary_.c_str(); }

  // IPluginV3OneRuntime
  std::int32_t onShapeChange(const Desc* inputs, std::int32_t input_count, const Desc* outputs,
                             std::int32_t output_count) noexcept override {
    ready_.reset();
    return guarded<std::int32_t>(-1, [&] {
      if (Error error = check_counts(input_count, output_count); !error.empty()) return failed(error);
      Ready next;
      for (int i = 0; i < input_count; ++i) next.shapes.add(inputs[i].dims);
      if (Error error = Operator::validate(attributes_, next.shapes, &next.params); !error.empty()) {
        return failed(error);
      }
      const std::optional<cuda::DataType> type = storage_type(inputs[0].type);
      if (!type) return failed("input 0 is neither float32 nor float16");
      next.type = *type;
      const std::optional<cuda::MapLayout> layout = map_layout(inputs[0].format);
      if (!layout) return failed("input 0 has a memory layout that no kernel supports");
      next.x_layout = *layout;
      const Shape expected = next.params.output();
      const Shape given(outputs[0].dims.d, outputs[0].dims.nbDims);
      if (expected.text() != given.text()) {
        return failed("the output buffer has shape " + given.text() + "; the operator makes " + expected.text());
      }
      ready_ = next;
      return 0;
    });
  }

  std::int32_t enqueue(const Desc* /*inputs*/, const Desc* /*outputs*/, const void* const* inputs, void* const* outputs,
                       void* /*workspace*/, cudaStream_t stream) noexcept override {
    if (!ready_) {
      log_error(std::string(Operator::kName) + ": enqueue was called before shapes were set");
      return -1;
    }
    const cudaError_t error =
        Operator::launch(ready_->params, ready_->shapes, ready_->type, ready_->x_layout, inputs, outputs[0], stream);
    if (error == cudaSuccess) return 0;
    log_error(std::string(Operator::kName) + ": the kernel was not launched (CUDA error " +
              std::to_string(static_cast<int>(error)) + ")");
    return static_cast<std::int32_t>(error);
  }

  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* /*context*/) noexcept override {
    return clone();
  }

  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override { return fields_.collection(); }

 private:
  /// State for enqueue, updated when shapes change.
  struct Ready {
    InputShapes shapes;
    Params params;
    cuda::DataType type = cuda::DataType::kFloat32;
    cuda::MapLayout x_layout = cuda::MapLayout::kNCHW;
  };

  /// Exceptions (of the standard library) must not cross into TensorRT.
  template <typename Result, typename Body>
  static Result guarded(Result on_exception, Body body) noexcept {
    try {
      return body();
    } catch (const std::exception& error) {
      log_error(std::string(Operator::kName) + ": " + error.what());
      return on_exception;
    }
  }

  static std::int32_t failed(const std::string& message) {
    const std::string name = std::string(Operator::kName) + ": ";
    log_error(message.compare(0, name.size(), name) == 0 ? message : name + message);
    return -1;
  }

  static Error check_counts(std::int32_t inputs, std::int32_t outputs) {
    if (inputs < Operator::kLeastInputs || inputs > Operator::kMostInputs) {
      return std::to_string(inputs) + " inputs; expected " + std::to_string(Operator::kLeastInputs) + " to " +
             std::to_string(Operator::kMostInputs);
    }
    return outputs == 1 ? Error() : std::to_string(outputs) + " outputs; expected 1";
  }

  Attributes attributes_;
  FieldWriter fields_;
  std::string summary_;
  std::optional<Ready> ready_;
};

}  // namespace hyperseg::tensorrt

#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "operator_plugin.h"

namespace hyperseg::tensorrt {

/// Creates plugins of an operator, from the ONNX node's attributes while building and from the plan's fields when an
/// engine is loaded. Both come as field lists and are checked alike.
template <typename Operator>
class OperatorCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  OperatorCreator() {
    for (const char* name : Operator::kFields) names_.emplace_back(name);
    collection_.nbFields = static_cast<std::int32_t>(names_.size());
    collection_.fields = names_.data();
  }

  const char* getPluginName() const noexcept override { return Operator::kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }
  /// The parser silently drops attributes that are not listed here.
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }

  nvinfer1::IPluginV3* createPlugin(const char* /*name*/, const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase /*phase*/) noexcept override {
    try {
      FieldReader reader(Operator::kName, fields);
      const typename Operator::Attributes attributes = Operator::read(reader);
      if (Error error = reader.finish(); !error.empty()) {
        log_error(error);
        return nullptr;
      }
      return new OperatorPlugin<Operator>(attributes);
    } catch (const std::exception& error) {
      log_error(std::string(Operator::kName) + ": " + error.what());
      return nullptr;
    }
  }

 private:
  std::vector<nvinfer1::PluginField> names_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace hyperseg::tensorrt

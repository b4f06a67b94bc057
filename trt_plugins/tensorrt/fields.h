#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "hyperseg/shape.h"

namespace hyperseg::tensorrt {

/// Whether a field is required. An absent optional field keeps the attribute's previous value.
enum class Presence { kRequired, kOptional };

/// Reads an operator's attributes from the fields that TensorRT passes: typed by the ONNX parser (INT32, INT64, CHAR
/// with the trailing NUL counted) or written by `FieldWriter` into a plan. A plan is an untrusted file: type, length
/// and range of every field are checked. The first problem is kept in `error`.
class FieldReader {
 public:
  FieldReader(const char* operator_name, const nvinfer1::PluginFieldCollection* fields);

  void integer(const char* name, Presence presence, int least, int most, int* value);
  void flag(const char* name, bool* value);
  /// Two integers, as in kernel_shape.
  void pair(const char* name, Presence presence, int least, int most, int* first, int* second);
  void text(const char* name, std::string* value);

  /// Keeps the first problem only.
  void fail(const std::string& message);
  /// Call after the last field: unknown fields are an error too.
  Error finish();

 private:
  const nvinfer1::PluginField* find(const char* name, Presence presence);
  bool integers(const char* name, Presence presence, int count, int least, int most, int* values);

  std::string operator_name_;
  const nvinfer1::PluginFieldCollection* fields_;
  std::vector<std::string> known_;
  Error error_;
};

/// Collects an operator's attributes as fields that TensorRT stores in the plan. Owns what the fields point to, so it
/// must live as long as the collection is read.
class FieldWriter {
 public:
  void integer(const char* name, int value);
  void pair(const char* name, int first, int second);
  void text(const char* name, const std::string& value);

  const nvinfer1::PluginFieldCollection* collection();
  /// "kernel_shape=1,1 group=1 ..." for logs, the engine inspector and the timing cache.
  std::string summary() const;

 private:
  // Deques keep their elements in place as they grow.
  std::deque<std::vector<std::int32_t>> integers_;
  std::deque<std::string> texts_;
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace hyperseg::tensorrt

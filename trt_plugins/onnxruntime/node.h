#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "onnxruntime/api.h"

namespace hyperseg::ort {

/// A graph's node at kernel creation: name and attributes.
class Node {
 public:
  Node(const OrtApi& api, const OrtKernelInfo* info, const char* operation)
      : api_(api), info_(info), operation_(operation) {}

  std::string name() const {
    return read_text([&](char* text, std::size_t* size) { return api_.KernelInfo_GetNodeName(info_, text, size); });
  }

  /// An attribute that has to fit an int; `fallback` where the node lacks it.
  int integer(const char* attribute, int fallback) const {
    std::int64_t value = 0;
    if (!found(attribute, api_.KernelInfoGetAttribute_int64(info_, attribute, &value))) return fallback;
    return narrowed(attribute, value);
  }

  /// As many integers as `fallback` has, which is the default.
  std::vector<int> integers(const char* attribute, const std::vector<int>& fallback) const {
    std::size_t count = 0;
    if (!found(attribute, api_.KernelInfoGetAttributeArray_int64(info_, attribute, nullptr, &count))) return fallback;
    std::vector<std::int64_t> values(count);
    check(api_, api_.KernelInfoGetAttributeArray_int64(info_, attribute, values.data(), &count));
    if (count != fallback.size()) {
      throw std::invalid_argument(about(attribute) + " has " + std::to_string(count) + " values; expected " +
                                  std::to_string(fallback.size()));
    }
    std::vector<int> result;
    for (std::int64_t value : values) result.push_back(narrowed(attribute, value));
    return result;
  }

  /// Two integers, such as a kernel's height and width.
  void pair(const char* attribute, int* first, int* second) const {
    const std::vector<int> values = integers(attribute, {*first, *second});
    *first = values[0];
    *second = values[1];
  }

  std::string text(const char* attribute, const char* fallback) const {
    std::size_t size = 0;
    if (!found(attribute, api_.KernelInfoGetAttribute_string(info_, attribute, nullptr, &size))) return fallback;
    return read_text([&](char* text, std::size_t* length) {
      return api_.KernelInfoGetAttribute_string(info_, attribute, text, length);
    });
  }

 private:
  /// Whether reading an attribute succeeded. ONNX Runtime has one code for an absent attribute and one of a wrong
  /// type; only its message tells them apart.
  bool found(const char* attribute, OrtStatus* status) const {
    if (status == nullptr) return true;
    const std::string message = api_.GetErrorMessage(status);
    api_.ReleaseStatus(status);
    if (message.find(" type") == std::string::npos) return false;
    throw std::invalid_argument(about(attribute) + " has the wrong type: " + message);
  }

  template <typename Read>
  std::string read_text(const Read& read) const {
    std::size_t size = 0;
    check(api_, read(nullptr, &size));
    std::string text(size, '\0');
    check(api_, read(text.data(), &size));
    while (!text.empty() && text.back() == '\0') text.pop_back();
    return text;
  }

  std::string about(const char* attribute) const { return std::string(operation_) + ": " + attribute; }

  int narrowed(const char* attribute, std::int64_t value) const {
    if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) {
      throw std::invalid_argument(about(attribute) + " is " + std::to_string(value) + ", out of range");
    }
    return static_cast<int>(value);
  }

  const OrtApi& api_;
  const OrtKernelInfo* info_;
  const char* operation_;
};

}  // namespace hyperseg::ort

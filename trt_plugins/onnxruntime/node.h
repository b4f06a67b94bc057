#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "onnxruntime/api.h"

namespace hyperseg::ort {

/// A graph's node when its kernel is made: name and attributes.
class Node {
 public:
  Node(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  std::string name() const {
    return read_text([&](char* text, std::size_t* size) { return api_.KernelInfo_GetNodeName(info_, text, size); });
  }

  /// An attribute that has to fit an int; `fallback` where the node lacks it.
  int integer(const char* attribute, int fallback) const {
    std::int64_t value = 0;
    if (OrtStatus* status = api_.KernelInfoGetAttribute_int64(info_, attribute, &value)) {
      api_.ReleaseStatus(status);
      return fallback;
    }
    return narrowed(attribute, value);
  }

  /// Two integers, such as a kernel's height and width.
  void pair(const char* attribute, int* first, int* second) const {
    std::size_t count = 0;
    if (OrtStatus* status = api_.KernelInfoGetAttributeArray_int64(info_, attribute, nullptr, &count)) {
      api_.ReleaseStatus(status);
      return;
    }
    std::vector<std::int64_t> values(count);
    check(api_, api_.KernelInfoGetAttributeArray_int64(info_, attribute, values.data(), &count));
    if (count != 2) {
      throw std::invalid_argument(std::string(attribute) + " has " + std::to_string(count) + " values; expected 2");
    }
    *first = narrowed(attribute, values[0]);
    *second = narrowed(attribute, values[1]);
  }

  std::string text(const char* attribute, const char* fallback) const {
    std::size_t size = 0;
    if (OrtStatus* status = api_.KernelInfoGetAttribute_string(info_, attribute, nullptr, &size)) {
      api_.ReleaseStatus(status);
      return fallback;
    }
    return read_text([&](char* text, std::size_t* length) {
      return api_.KernelInfoGetAttribute_string(info_, attribute, text, length);
    });
  }

 private:
  template <typename Read>
  std::string read_text(const Read& read) const {
    std::size_t size = 0;
    check(api_, read(nullptr, &size));
    std::string text(size, '\0');
    check(api_, read(text.data(), &size));
    while (!text.empty() && text.back() == '\0') text.pop_back();
    return text;
  }

  static int narrowed(const char* attribute, std::int64_t value) {
    if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) {
      throw std::invalid_argument(std::string(attribute) + " is " + std::to_string(value) + ", out of range");
    }
    return static_cast<int>(value);
  }

  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

}  // namespace hyperseg::ort

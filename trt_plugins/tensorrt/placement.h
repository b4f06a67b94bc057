#pragma once

#include <NvInferRuntime.h>

#include <limits>
#include <optional>

#include "cuda/launch.h"
#include "fields.h"

namespace hyperseg::tensorrt {

/// An operator's attributes and the memory layout of its inputs. hyperseg-build-engine sets these fields according to
/// the surrounding nodes; no ONNX file has them.
template <typename Attributes>
struct Placed : Attributes {
  bool channels_last = false;  ///< X is always kHWC

  void read(FieldReader& fields) {
    constexpr int kLargest = std::numeric_limits<int>::max();
    fields.flag("channels_last", &channels_last);
    fields.integer("piece_begin", Presence::kOptional, 0, kLargest, &this->rows.begin);
    fields.integer("piece_length", Presence::kOptional, 0, kLargest, &this->rows.length);
  }

  void write(FieldWriter& fields) const {
    fields.integer("channels_last", channels_last ? 1 : 0);
    fields.integer("piece_begin", this->rows.begin);
    fields.integer("piece_length", this->rows.length);
  }

  /// Without the flag TensorRT chooses by timing. TensorRT for RTX would always take kLINEAR and change the layout
  /// before, hence the flag. Headers of TensorRT 10.14 document kHWC for float32 only, newer ones for float16 too.
  bool takes(nvinfer1::DataType type, nvinfer1::TensorFormat format) const {
    using nvinfer1::TensorFormat;
    if (format == TensorFormat::kHWC) return true;
    if (channels_last) return false;
    return format == TensorFormat::kLINEAR || (format == TensorFormat::kHWC8 && type == nvinfer1::DataType::kHALF);
  }
};

inline std::optional<cuda::MapLayout> map_layout(nvinfer1::TensorFormat format) {
  switch (format) {
    case nvinfer1::TensorFormat::kLINEAR:
      return cuda::MapLayout::kNCHW;
    case nvinfer1::TensorFormat::kHWC:
      return cuda::MapLayout::kNHWC;
    case nvinfer1::TensorFormat::kHWC8:
      return cuda::MapLayout::kNHWC8;
    default:
      return std::nullopt;
  }
}

}  // namespace hyperseg::tensorrt

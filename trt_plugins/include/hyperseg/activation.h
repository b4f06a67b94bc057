#pragma once

#include <string>

#include "hyperseg/macros.h"
#include "hyperseg/shape.h"

namespace hyperseg {

/// Activation function of a convolution. Plugins serialise these values.
enum class Activation : int { kNone = 0, kRelu = 1, kRelu6 = 2 };

HYPERSEG_HOST_DEVICE inline float activate(float value, Activation activation) {
  if (activation == Activation::kNone) return value;
  const float positive = value > 0.0f ? value : 0.0f;
  return activation == Activation::kRelu6 && positive > 6.0f ? 6.0f : positive;
}

/// Reads the ONNX attribute; `name` is the operator's.
inline Error parse_activation(const std::string& name, const std::string& text, Activation* activation) {
  if (text == "none") {
    *activation = Activation::kNone;
  } else if (text == "relu") {
    *activation = Activation::kRelu;
  } else if (text == "relu6") {
    *activation = Activation::kRelu6;
  } else {
    return name + ": activation is \"" + text + "\"; use \"none\", \"relu\" or \"relu6\"";
  }
  return {};
}

}  // namespace hyperseg

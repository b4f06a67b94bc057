#pragma once

#include <cstdint>

namespace hyperseg::cpu {

/// Storage of an IEEE 754 binary16; all arithmetic is in float.
struct Half {
  std::uint16_t bits;
};

}  // namespace hyperseg::cpu

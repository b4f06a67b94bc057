#pragma once

#include "hyperseg/shape.h"

namespace hyperseg::cpu {

/// Caps the instruction set of the kernels at the environment variable HYPERSEG_MAX_CPU_ISA: sse4, avx2 or avx512.
/// Unset or empty means no cap. Must be called before the first kernel runs. Returns an error for any other value.
Error limit_isa();

/// Name of the SIMD target that the kernels run on, as Highway calls it: "AVX3_ZEN4", "AVX2", "SSE4", "NEON", …
const char* isa();

}  // namespace hyperseg::cpu

#pragma once

#include "hyperseg/shape.h"

namespace hyperseg::cpu {

/// Keeps the kernels from instructions better than those that the environment variable HYPERSEG_MAX_CPU_ISA names:
/// sse4, avx2 or avx512. Unset or empty, nothing is kept from them. To be called before the first kernel runs.
/// Returns what is wrong with the value.
Error limit_isa();

/// Name of the SIMD target that the kernels run on, as Highway calls it: "AVX3_ZEN4", "AVX2", "SSE4", "NEON", …
const char* isa();

}  // namespace hyperseg::cpu

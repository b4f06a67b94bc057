#pragma once

// Vectors are kept in arrays (a block of the product in registers), which types of unknown size do not allow.
// On Arm, NEON is used instead.
#define HYPERSEG_NO_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#if defined(HYPERSEG_ONE_TARGET)  // beside what every processor has
#define HWY_DISABLED_TARGETS (HYPERSEG_NO_TARGETS | HWY_AVX3 | HWY_SSE4 | HWY_SSSE3)
#else
#define HWY_DISABLED_TARGETS HYPERSEG_NO_TARGETS
#endif

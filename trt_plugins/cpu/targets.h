#pragma once

// Vectors are kept in arrays (a block of the product in registers), which types of unknown size do not allow.
// On Arm, NEON is used instead.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

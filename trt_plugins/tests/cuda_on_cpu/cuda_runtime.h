#pragma once

// Shadows the toolkit's header of the same name, so that g++ compiles kernels for the CPU. See README.md.

#include_next <cuda_runtime.h>

// Shared memory belongs to the operating-system thread that runs the block. Only `extern __shared__` arrays compile:
// they can be poisoned and guarded.
#undef __shared__
#define __shared__ __thread
#undef __launch_bounds__
#define __launch_bounds__(...)

#include "host_api.h"
#include "intrinsics.h"

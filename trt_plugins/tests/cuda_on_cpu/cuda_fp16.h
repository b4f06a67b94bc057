#pragma once

// The toolkit's own header has half's conversions on the host.

#include_next <cuda_fp16.h>
#include <cuda_runtime.h>

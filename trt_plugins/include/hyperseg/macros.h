#pragma once

// Marks the small index functions that host and device code share.
#if defined(__CUDACC__)
#define HYPERSEG_HOST_DEVICE __host__ __device__
#else
#define HYPERSEG_HOST_DEVICE
#endif

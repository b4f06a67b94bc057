#pragma once

/* Marks the functions of the C interfaces. */
#if defined(__GNUC__)
#define HYPERSEG_EXPORT __attribute__((visibility("default")))
#else
#define HYPERSEG_EXPORT
#endif

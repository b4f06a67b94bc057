#pragma once

/* The labels of any size from logits in memory, behind a C interface: UpsampleArgmax with a target
 * (hyperseg/upsample_argmax.h). libhyperseg_cpu.so has hyperseg_labels, for logits in the host's memory;
 * libhyperseg_cuda.so has hyperseg_launch_labels, for the device's. hyperseg_runtime/native_labels.py has the same
 * layout in ctypes. */

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>

#include "export.h"
extern "C" {
#else
#include <stddef.h>
#include <stdint.h>

#include "export.h"
#endif

/* Counts every change of the structure below. */
#define HYPERSEG_LABELS_INTERFACE 1

struct HyperSegLabels {
  const void* logits; /* [channels, height, width], contiguous, aligned as their type */
  uint8_t* labels;    /* [out_height, out_width], contiguous */
  int32_t data_type;  /* of the logits: 0 float32, 1 float16 */
  int32_t channels;   /* at most 256 */
  int32_t height;
  int32_t width;
  int32_t out_height;
  int32_t out_width;
  double top; /* the part of the logits that the labels show, in their pixels */
  double left;
  double window_height;
  double window_width;
};

/* HYPERSEG_LABELS_INTERFACE of the library. */
HYPERSEG_EXPORT int hyperseg_labels_interface(void);

/* Computes the labels on at most `threads` threads. Returns 0, or 1 with the reason in `message`. */
HYPERSEG_EXPORT int hyperseg_labels(const struct HyperSegLabels* request, int32_t threads, char* message,
                                    size_t message_bytes);

/* Enqueues the kernel on `stream` (a cudaStream_t of the current device). Returns a HyperSegResult (request.h), with
 * the reason in `message`; an error of the kernel itself shows when the stream is synchronised. */
HYPERSEG_EXPORT int hyperseg_launch_labels(const struct HyperSegLabels* request, void* stream, char* message,
                                           size_t message_bytes);

#ifdef __cplusplus
}
#endif

#pragma once

/* The CUDA kernels behind a C interface: libhyperseg_cuda.so. hyperseg/cuda_library.py, which has the same
 * layout in ctypes, calls it for PyTorch. */

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

/* Counts every change of the structures below. */
#define HYPERSEG_CUDA_INTERFACE 2

enum HyperSegOperator { kDPWConv = 0, kDPWInvertedResidual = 1, kUpsampleArgmax = 2 };

struct HyperSegTensor {
  void* data; /* device memory, at a multiple of 16 bytes; null where an optional input is absent */
  int64_t rank;
  int64_t extents[5];
};

/* One launch. Tensors are contiguous and of one type, but for labels. */
struct HyperSegRequest {
  int32_t operation; /* HyperSegOperator */
  int32_t data_type; /* hyperseg::cuda::DataType: 0 float32, 1 float16 */
  int32_t kernel;
  int32_t group;
  int32_t activation; /* hyperseg::Activation: 0 none, 1 relu, 2 relu6 */
  int32_t offset;
  int32_t coordinates;
  int32_t scale;
  int32_t x_layout;     /* hyperseg::cuda::MapLayout */
  int32_t piece_begin;  /* where the pieces lie in theta's rows, and */
  int32_t piece_length; /* their length; 0: whole rows */
  int32_t label_type;   /* hyperseg::cuda::LabelType: 0 int32, 1 uint8 */
  int32_t out_height;   /* with scale 0: the labels' size, and `window` */
  int32_t out_width;
  /* In the order of the contract: X, theta, then bias and previous, or bias1, bias2, bias3 and previous. */
  struct HyperSegTensor inputs[6];
  void* output;
  double window[4]; /* top, left, height and width, in pixels of X */
};

/* HYPERSEG_CUDA_INTERFACE of the library. */
HYPERSEG_EXPORT int hyperseg_cuda_interface(void);

enum HyperSegResult {
  kLaunched = 0,
  kFailed = 1,
  kRefused =
      2 /* not for these kernels: shapes or channel counts beyond them or the device, or code for other devices */
};

/* Checks the request and enqueues its kernel on `stream` (a cudaStream_t of the current device). Returns a
 * HyperSegResult, with the reason in `message`; an error of the kernel itself shows when the stream is synchronised. */
HYPERSEG_EXPORT int hyperseg_launch(const struct HyperSegRequest* request, void* stream, char* message,
                                    size_t message_bytes);

#ifdef __cplusplus
}
#endif

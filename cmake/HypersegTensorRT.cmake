# Target hyperseg_tensorrt_headers: TensorRT's C++ headers. Nothing is linked: the plugin library exports getCreators
# and calls no functions of TensorRT's libraries, so one build works with TensorRT 10, 11 and RTX.
# Taken from TensorRT_ROOT, the headers folder, the system, or NVIDIA's open-source release, in this order.
set(HYPERSEG_TENSORRT_RELEASE 10.14 CACHE STRING "Release of TensorRT's open-source headers to fetch where none are found")
set(HYPERSEG_HAS_TENSORRT FALSE)

find_path(HYPERSEG_TENSORRT_INCLUDE NvInferRuntime.h
  PATHS "${TensorRT_ROOT}" "$ENV{TensorRT_ROOT}" "${HYPERSEG_HEADERS}/tensorrt"
  PATH_SUFFIXES include NO_DEFAULT_PATH)
find_path(HYPERSEG_TENSORRT_INCLUDE NvInferRuntime.h)

if(NOT HYPERSEG_TENSORRT_INCLUDE AND HYPERSEG_DOWNLOAD AND NOT HYPERSEG_CUDA STREQUAL "OFF")
  find_program(HYPERSEG_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
  if(HYPERSEG_NVCC) # without a compiler for the kernels the headers would be of no use
    include(HypersegDownload)
    hyperseg_download(tensorrt
      "https://github.com/NVIDIA/TensorRT/archive/refs/tags/v${HYPERSEG_TENSORRT_RELEASE}.tar.gz" "" source)
    if(source)
      set(HYPERSEG_TENSORRT_INCLUDE "${source}/include" CACHE PATH "" FORCE)
    endif()
  endif()
endif()

add_library(hyperseg_tensorrt_headers INTERFACE)
if(HYPERSEG_TENSORRT_INCLUDE)
  set(HYPERSEG_HAS_TENSORRT TRUE)
  target_include_directories(hyperseg_tensorrt_headers SYSTEM INTERFACE "${HYPERSEG_TENSORRT_INCLUDE}")
  hyperseg_part("TensorRT headers" TRUE "${HYPERSEG_TENSORRT_INCLUDE}")
else()
  hyperseg_part("TensorRT headers" FALSE
    "not found, no libhyperseg_trt.so: install libnvinfer-headers-dev or set TensorRT_ROOT")
endif()

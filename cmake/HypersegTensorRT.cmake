# Target hyperseg_tensorrt_headers: TensorRT's C++ headers. Nothing is linked: the plugin library exports getCreators
# and calls no functions of TensorRT's libraries, so one build works with TensorRT 10, 11 and RTX.
# Taken from TensorRT_ROOT, NVIDIA's CMake packages, the headers folder, the system, or NVIDIA's public repository, in
# this order.
# Empty: the default, which is not cached, so that build folders follow when it changes.
set(HYPERSEG_TENSORRT_TAG "" CACHE STRING "Tag (without v) of NVIDIA/TensorRT whose headers are fetched where none are found; default: 11.1")
set(HYPERSEG_TENSORRT_SHA256 "" CACHE FILEPATH "sha256sum's list of these headers, for releases without one in cmake/tensorrt_headers")
set(HYPERSEG_TENSORRT_URL "" CACHE STRING "A copy of the release's include folder to fetch them from, instead of GitHub")
option(HYPERSEG_TENSORRT_TEST_INTERFACE
  "Where no headers are found, compile against the tests' declarations of TensorRT's interface; for scripts/setup.sh" OFF)
set(HYPERSEG_TENSORRT_INTERFACE "${CMAKE_CURRENT_LIST_DIR}/../trt_plugins/tests/tensorrt_interface")
get_filename_component(HYPERSEG_TENSORRT_INTERFACE "${HYPERSEG_TENSORRT_INTERFACE}" ABSOLUTE)
set(HYPERSEG_TENSORRT_INTERFACE_DETAIL "not NVIDIA's but the tests' declarations, ${HYPERSEG_TENSORRT_INTERFACE}")
set(HYPERSEG_HAS_TENSORRT FALSE)
if(SKBUILD AND HYPERSEG_TENSORRT_TEST_INTERFACE)
  message(FATAL_ERROR "HYPERSEG_TENSORRT_TEST_INTERFACE=ON: a package is built with NVIDIA's headers only; leave the "
    "option out, which is for scripts/setup.sh")
endif()
set(tag "${HYPERSEG_TENSORRT_TAG}")
if(NOT tag)
  set(tag 11.1)
endif()

if(HYPERSEG_TENSORRT_INCLUDE AND NOT EXISTS "${HYPERSEG_TENSORRT_INCLUDE}/NvInferRuntime.h")
  unset(HYPERSEG_TENSORRT_INCLUDE CACHE) # removed since the last configuration
endif()
set(root "${TensorRT_ROOT}")
if(NOT root)
  set(root "$ENV{TensorRT_ROOT}")
endif()
if(root)
  unset(HYPERSEG_TENSORRT_INCLUDE CACHE) # of an earlier configuration
  find_path(HYPERSEG_TENSORRT_INCLUDE NvInferRuntime.h PATHS "${root}" PATH_SUFFIXES include NO_DEFAULT_PATH)
endif()
if(root AND NOT HYPERSEG_TENSORRT_INCLUDE)
  message(FATAL_ERROR "TensorRT_ROOT=${root} has no include/NvInferRuntime.h; set it to the folder that "
    "TensorRT's archive unpacks to")
endif()

# Archives of TensorRT 11.2.1 and later have packages TensorRT-<product> in their folder cmake/ (NVIDIA's release notes of
# 11.2.1). Only their place is used, since the notes name no targets and no library is linked.
foreach(product Enterprise RTX)
  if(NOT HYPERSEG_TENSORRT_INCLUDE)
    find_package(TensorRT-${product} CONFIG QUIET)
    if(TensorRT-${product}_FOUND)
      find_path(HYPERSEG_TENSORRT_INCLUDE NvInferRuntime.h
        PATHS "${TensorRT-${product}_DIR}/.." "${TensorRT-${product}_DIR}/../../.."
        PATH_SUFFIXES include NO_DEFAULT_PATH)
    endif()
  endif()
endforeach()

find_path(HYPERSEG_TENSORRT_INCLUDE NvInferRuntime.h
  PATHS "${HYPERSEG_HEADERS}/tensorrt-${tag}" PATH_SUFFIXES include NO_DEFAULT_PATH)
find_path(HYPERSEG_TENSORRT_INCLUDE NvInferRuntime.h)

if(NOT HYPERSEG_TENSORRT_INCLUDE AND HYPERSEG_DOWNLOAD AND NOT HYPERSEG_CUDA STREQUAL "OFF")
  find_program(HYPERSEG_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
  if(HYPERSEG_NVCC OR DEFINED ENV{CUDACXX}) # without a compiler for the kernels the headers would be of no use
    include(HypersegTensorRTHeaders)
    hyperseg_tensorrt_headers("${tag}" "${HYPERSEG_TENSORRT_SHA256}" "${HYPERSEG_TENSORRT_URL}"
      "${CMAKE_BINARY_DIR}/download/tensorrt-${tag}/include" include)
    if(include)
      set(HYPERSEG_TENSORRT_INCLUDE "${include}" CACHE PATH "" FORCE)
    endif()
  endif()
endif()

if(NOT HYPERSEG_TENSORRT_INCLUDE AND HYPERSEG_TENSORRT_TEST_INTERFACE)
  set(HYPERSEG_TENSORRT_INCLUDE "${HYPERSEG_TENSORRT_INTERFACE}")
endif()

add_library(hyperseg_tensorrt_headers INTERFACE)
if(HYPERSEG_TENSORRT_INCLUDE)
  file(STRINGS "${HYPERSEG_TENSORRT_INCLUDE}/NvInferRuntime.h" interface REGEX "class IPluginV3OneBuild")
  if(interface)
    set(HYPERSEG_HAS_TENSORRT TRUE)
    target_include_directories(hyperseg_tensorrt_headers SYSTEM INTERFACE "${HYPERSEG_TENSORRT_INCLUDE}")
    set(detail "${HYPERSEG_TENSORRT_INCLUDE}")
    if(HYPERSEG_TENSORRT_INCLUDE STREQUAL HYPERSEG_TENSORRT_INTERFACE)
      set(detail "${HYPERSEG_TENSORRT_INTERFACE_DETAIL}")
    endif()
    hyperseg_part("TensorRT headers" TRUE "${detail}")
  else()
    hyperseg_part("TensorRT headers" FALSE
      "${HYPERSEG_TENSORRT_INCLUDE} is older than TensorRT 10, no libhyperseg_trt.so: set TensorRT_ROOT to newer headers")
  endif()
else()
  hyperseg_part("TensorRT headers" FALSE
    "not found, no libhyperseg_trt.so: install libnvinfer-headers-dev or set TensorRT_ROOT")
endif()

# hyperseg_tensorrt_headers(RELEASE LIST URL FOLDER OUT): NvInferRuntime.h and what it includes, from NVIDIA's public
# repository. LIST has the SHA-256 of each file; empty: cmake/tensorrt_headers/RELEASE.sha256. The folder of hashes was
# made from the tags of that repository. OUT is FOLDER, or empty if the headers cannot be fetched.
#
# As a script, for scripts/fetch_headers.sh: cmake -DRELEASE=11.1 -DFOLDER=... -P cmake/HypersegTensorRTHeaders.cmake
cmake_minimum_required(VERSION 3.22)
include("${CMAKE_CURRENT_LIST_DIR}/HypersegDownload.cmake")
set(HYPERSEG_TENSORRT_LISTS "${CMAKE_CURRENT_LIST_DIR}/tensorrt_headers")

function(hyperseg_tensorrt_headers release list url folder out)
  if(NOT list)
    set(list "${HYPERSEG_TENSORRT_LISTS}/${release}.sha256")
    if(NOT EXISTS "${list}")
      file(GLOB known RELATIVE "${HYPERSEG_TENSORRT_LISTS}" "${HYPERSEG_TENSORRT_LISTS}/*.sha256")
      list(TRANSFORM known REPLACE "\\.sha256$" "")
      list(JOIN known ", " known)
      message(FATAL_ERROR "HYPERSEG_TENSORRT_TAG=${release}: no SHA-256 is known for the headers of this release. "
        "Use one of ${known}: the plugin library built with any of them works with all. Or set TensorRT_ROOT to headers "
        "of yours, or HYPERSEG_TENSORRT_SHA256 to a file with the output of 'sha256sum NvInfer*.h' in a copy of include/ "
        "that you trust.")
    endif()
  elseif(NOT EXISTS "${list}")
    message(FATAL_ERROR "HYPERSEG_TENSORRT_SHA256=${list} does not exist; it has to be a file with the output of sha256sum")
  endif()
  if(NOT url)
    set(url "https://raw.githubusercontent.com/NVIDIA/TensorRT/v${release}/include")
  endif()
  hyperseg_download_files("${url}" "${list}" "${folder}" found)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  hyperseg_tensorrt_headers("${RELEASE}" "" "${URL}" "${FOLDER}" found)
  if(NOT found)
    message(FATAL_ERROR "TensorRT's headers were not fetched")
  endif()
endif()

# hyperseg_tensorrt_versions(OUT): headers of each major version of TensorRT, for the library that registers the plugins
# in other hosts (trt_plugins/hosts): unlike libhyperseg_trt.so it calls TensorRT, so that it needs those of the host's
# version. OUT lists the versions that were found; the target hyperseg_tensorrt_VERSION has the headers of each.
#
# Those of the version that HypersegTensorRT found are taken from there, the others from the headers folder or NVIDIA's
# public repository.
set(HYPERSEG_TENSORRT_VERSIONS 10 11)
# Whose headers are fetched. The plugin registry is the same in all releases of a major version, but for functions that
# were added at its end.
set(HYPERSEG_TENSORRT_10_RELEASE 10.16)
set(HYPERSEG_TENSORRT_11_RELEASE 11.1)

# The major version of the headers in FOLDER; empty if they are TensorRT for RTX's.
function(hyperseg_tensorrt_version folder out)
  set(version "")
  if(EXISTS "${folder}/NvInferVersion.h")
    file(STRINGS "${folder}/NvInferVersion.h" lines REGEX "define (NV_TENSORRT_MAJOR|TRT_MAJOR_ENTERPRISE) +[0-9]+")
    if(lines MATCHES "(NV_TENSORRT_MAJOR|TRT_MAJOR_ENTERPRISE) +([0-9]+)")
      set(version "${CMAKE_MATCH_2}")
    endif()
  endif()
  set(${out} "${version}" PARENT_SCOPE)
endfunction()

# The headers of one version, or empty.
function(hyperseg_find_tensorrt_version version out)
  hyperseg_tensorrt_version("${HYPERSEG_TENSORRT_INCLUDE}" found)
  if(found STREQUAL version)
    set(${out} "${HYPERSEG_TENSORRT_INCLUDE}" PARENT_SCOPE)
    return()
  endif()
  set(release "${HYPERSEG_TENSORRT_${version}_RELEASE}")
  set(include "${HYPERSEG_HEADERS}/tensorrt-${release}/include")
  if(NOT EXISTS "${include}/NvInferRuntime.h")
    set(include "")
    if(HYPERSEG_DOWNLOAD)
      include(HypersegTensorRTHeaders)
      hyperseg_tensorrt_headers("${release}" "" "" "${CMAKE_BINARY_DIR}/download/tensorrt-${release}/include" include)
    endif()
  endif()
  if(NOT include AND HYPERSEG_TENSORRT_TEST_INTERFACE)
    set(include "${HYPERSEG_TENSORRT_INTERFACE}")
  endif()
  set(${out} "${include}" PARENT_SCOPE)
endfunction()

function(hyperseg_tensorrt_versions out)
  set(versions "")
  foreach(version IN LISTS HYPERSEG_TENSORRT_VERSIONS)
    hyperseg_find_tensorrt_version(${version} include)
    if(include)
      list(APPEND versions ${version})
      add_library(hyperseg_tensorrt_${version} INTERFACE)
      target_include_directories(hyperseg_tensorrt_${version} SYSTEM INTERFACE "${include}" ${CUDAToolkit_INCLUDE_DIRS})
      set(detail "${include}")
      if(include STREQUAL HYPERSEG_TENSORRT_INTERFACE)
        target_compile_definitions(hyperseg_tensorrt_${version} INTERFACE NV_TENSORRT_MAJOR=${version})
        set(detail "${HYPERSEG_TENSORRT_INTERFACE_DETAIL}")
      endif()
      hyperseg_part("TensorRT ${version} in other hosts" TRUE "${detail}")
    else()
      hyperseg_part("TensorRT ${version} in other hosts" FALSE
        "no headers of it, so libhyperseg_trt_register.so is not for it: set TensorRT_ROOT to them, or run scripts/fetch_headers.sh --tensorrt where GitHub can be reached")
    endif()
  endforeach()
  set(${out} "${versions}" PARENT_SCOPE)
endfunction()

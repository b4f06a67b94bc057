# Target hyperseg_onnxruntime_headers: ONNX Runtime's C header, which no wheel includes. Nothing is linked:
# the operators get their function table from the onnxruntime that loads them, of any version.
# Taken from ORT_ROOT, the headers folder, the system, or the official release, in this order.
set(HYPERSEG_ORT_RELEASE 1.20.1)
# Of onnxruntime-linux-x64-1.20.1.tgz.
set(HYPERSEG_ORT_SHA256 67db4dc1561f1e3fd42e619575c82c601ef89849afc7ea85a003abbac1a1a105)
set(HYPERSEG_HAS_ONNXRUNTIME FALSE)

find_path(HYPERSEG_ORT_INCLUDE onnxruntime_c_api.h
  PATHS "${ORT_ROOT}" "$ENV{ORT_ROOT}" "${HYPERSEG_HEADERS}/onnxruntime/usr"
  PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session NO_DEFAULT_PATH)
find_path(HYPERSEG_ORT_INCLUDE onnxruntime_c_api.h
  PATH_SUFFIXES onnxruntime onnxruntime/core/session)

if(NOT HYPERSEG_ORT_INCLUDE AND HYPERSEG_DOWNLOAD)
  include(HypersegDownload)
  # Headers only, and the same on every architecture.
  hyperseg_download(onnxruntime
    "https://github.com/microsoft/onnxruntime/releases/download/v${HYPERSEG_ORT_RELEASE}/onnxruntime-linux-x64-${HYPERSEG_ORT_RELEASE}.tgz"
    ${HYPERSEG_ORT_SHA256} source)
  if(source)
    set(HYPERSEG_ORT_INCLUDE "${source}/include" CACHE PATH "" FORCE)
  endif()
endif()

add_library(hyperseg_onnxruntime_headers INTERFACE)
if(HYPERSEG_ORT_INCLUDE)
  set(HYPERSEG_HAS_ONNXRUNTIME TRUE)
  target_include_directories(hyperseg_onnxruntime_headers SYSTEM INTERFACE "${HYPERSEG_ORT_INCLUDE}")
  hyperseg_part("ONNX Runtime headers" TRUE "${HYPERSEG_ORT_INCLUDE}")
else()
  hyperseg_part("ONNX Runtime headers" FALSE
    "not found, no libhyperseg_ort.so: install libonnxruntime-dev, set ORT_ROOT, or run scripts/fetch_headers.sh")
endif()

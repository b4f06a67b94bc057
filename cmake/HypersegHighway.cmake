# Target hyperseg_highway: Google Highway, SIMD with run-time dispatch, for the CPU kernels.
# Taken from HWY_ROOT, the headers folder, the system, or the official release, in this order.
set(HYPERSEG_HIGHWAY_RELEASE 1.2.0)
set(HYPERSEG_HAS_HIGHWAY FALSE)

find_path(HYPERSEG_HIGHWAY_INCLUDE hwy/highway.h
  PATHS "${HWY_ROOT}" "$ENV{HWY_ROOT}" "${HYPERSEG_HEADERS}/highway/usr" PATH_SUFFIXES include NO_DEFAULT_PATH)
find_path(HYPERSEG_HIGHWAY_INCLUDE hwy/highway.h)
get_filename_component(HYPERSEG_HIGHWAY_PREFIX "${HYPERSEG_HIGHWAY_INCLUDE}" DIRECTORY)
find_library(HYPERSEG_HIGHWAY_LIBRARY NAMES hwy
  PATHS "${HYPERSEG_HIGHWAY_PREFIX}" PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64 NO_DEFAULT_PATH)

add_library(hyperseg_highway INTERFACE)
if(HYPERSEG_HIGHWAY_INCLUDE AND HYPERSEG_HIGHWAY_LIBRARY)
  set(HYPERSEG_HAS_HIGHWAY TRUE)
  target_include_directories(hyperseg_highway SYSTEM INTERFACE "${HYPERSEG_HIGHWAY_INCLUDE}")
  target_link_libraries(hyperseg_highway INTERFACE "${HYPERSEG_HIGHWAY_LIBRARY}")
  # A shared libhwy is bundled in the wheel, since Highway is usually not installed on the device.
  file(REAL_PATH "${HYPERSEG_HIGHWAY_LIBRARY}" library)
  if(library MATCHES "\\.so")
    target_compile_definitions(hyperseg_highway INTERFACE HWY_SHARED_DEFINE)
    string(REGEX REPLACE "(\\.so\\.[0-9]+).*" "\\1" soname "${library}")
    get_filename_component(soname "${soname}" NAME)
    install(FILES "${library}" DESTINATION hyperseg_runtime/lib RENAME "${soname}")
  endif()
  hyperseg_part("Highway" TRUE "${HYPERSEG_HIGHWAY_LIBRARY}")
elseif(HYPERSEG_DOWNLOAD)
  include(HypersegDownload)
  hyperseg_download(highway
    "https://github.com/google/highway/archive/refs/tags/${HYPERSEG_HIGHWAY_RELEASE}.tar.gz"
    7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343 source)
  if(source)
    set(HYPERSEG_HAS_HIGHWAY TRUE)
    set(HWY_ENABLE_TESTS OFF CACHE BOOL "" FORCE)
    set(HWY_ENABLE_EXAMPLES OFF CACHE BOOL "" FORCE)
    set(HWY_ENABLE_CONTRIB OFF CACHE BOOL "" FORCE)
    set(HWY_ENABLE_INSTALL OFF CACHE BOOL "" FORCE)
    set(BUILD_TESTING OFF)
    set(BUILD_SHARED_LIBS OFF)
    add_subdirectory("${source}" "${CMAKE_BINARY_DIR}/highway" EXCLUDE_FROM_ALL)
    target_link_libraries(hyperseg_highway INTERFACE hwy)
    hyperseg_part("Highway" TRUE "release ${HYPERSEG_HIGHWAY_RELEASE}")
  endif()
endif()
if(NOT HYPERSEG_HAS_HIGHWAY)
  hyperseg_part("Highway" FALSE
    "not found, no CPU operators: install libhwy-dev, set HWY_ROOT, or run scripts/fetch_headers.sh")
endif()

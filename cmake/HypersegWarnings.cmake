# Target hyperseg_warnings: link it PRIVATE to all our targets. It also sets the sanitizers.
add_library(hyperseg_warnings INTERFACE)
target_compile_options(hyperseg_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
if(HYPERSEG_WERROR)
  target_compile_options(hyperseg_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(HYPERSEG_SANITIZE)
  # After the part's own options, so that -O1 applies: with more, the instrumented kernels compile for minutes.
  target_compile_options(hyperseg_warnings INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-O1 -fsanitize=${HYPERSEG_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1>)
  target_link_options(hyperseg_warnings INTERFACE -fsanitize=${HYPERSEG_SANITIZE})
  if(HYPERSEG_SANITIZE STREQUAL "thread")  # one SIMD target shows every race
    target_compile_definitions(hyperseg_warnings INTERFACE HYPERSEG_ONE_TARGET)
  endif()
endif()

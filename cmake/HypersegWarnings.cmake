# Target hyperseg_warnings: link it PRIVATE to every target of ours. It also carries the sanitizers.
add_library(hyperseg_warnings INTERFACE)
target_compile_options(hyperseg_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
if(HYPERSEG_WERROR)
  target_compile_options(hyperseg_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(HYPERSEG_SANITIZE)
  target_compile_options(hyperseg_warnings INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${HYPERSEG_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g>)
  target_link_options(hyperseg_warnings INTERFACE -fsanitize=${HYPERSEG_SANITIZE})
endif()

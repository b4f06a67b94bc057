# The GPU architectures that the CUDA kernels are compiled for by default: those of the list below that the compiler
# knows. nvcc before 11.8 does not know 89 and 90, before 12.8 not 100 and 120, from 13.0 on nothing older than 75 (and
# 101 is 110).
#
# Each is compiled to machine code, which also runs on later minor versions (86 on 8.9, 100 on 10.3, 120 on 12.1), but not
# on Jetson: NVIDIA promises that within PCs and servers only, so that its architectures are listed where the processor is
# of its kind. The newest is kept as PTX too, from which the driver compiles for GPUs that are newer than the compiler.
# PTX of the others would serve no GPU in addition and double the libraries.
set(HYPERSEG_CUDA_PC 75 80 86 89 90 100 120)
set(HYPERSEG_CUDA_JETSON 87 101 110)

# hyperseg_known_architectures(NVCC OUT): the compute capabilities, as numbers, or empty if the compiler does not say.
function(hyperseg_known_architectures nvcc out)
  execute_process(COMMAND "${nvcc}" --list-gpu-arch OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE failed TIMEOUT 60)
  set(known "")
  if(NOT failed)
    string(REGEX MATCHALL "compute_[0-9]+[a-z]?" known "${text}")
    list(TRANSFORM known REPLACE "compute_" "")
    list(FILTER known EXCLUDE REGEX "[a-z]")
  endif()
  set(${out} "${known}" PARENT_SCOPE)
endfunction()

# hyperseg_default_architectures(KNOWN PROCESSOR OUT): a value for CMAKE_CUDA_ARCHITECTURES, or empty.
function(hyperseg_default_architectures known processor out)
  set(wanted ${HYPERSEG_CUDA_PC})
  if(processor MATCHES "aarch64|arm64")
    list(APPEND wanted ${HYPERSEG_CUDA_JETSON})
  endif()
  list(SORT wanted COMPARE NATURAL)
  set(chosen "")
  foreach(architecture IN LISTS wanted)
    if(architecture IN_LIST known)
      list(APPEND chosen "${architecture}-real")
    endif()
  endforeach()
  if(chosen)
    list(POP_BACK chosen newest)
    string(REPLACE "-real" "" newest "${newest}")
    list(APPEND chosen "${newest}") # machine code and PTX
  endif()
  set(${out} "${chosen}" PARENT_SCOPE)
endfunction()

# hyperseg_check_architectures(VARIABLE ARCHITECTURES KNOWN NVCC): an error for a number that the compiler does not know.
function(hyperseg_check_architectures variable architectures known nvcc)
  foreach(architecture IN LISTS architectures)
    string(REGEX MATCH "^[0-9]+" number "${architecture}")
    if(number AND known AND NOT number IN_LIST known AND NOT architecture MATCHES "^[0-9]+[a-z]")
      list(JOIN known " " text)
      message(FATAL_ERROR "${variable} has ${architecture}, for which ${nvcc} does not compile; "
        "it compiles for ${text}. Leave it out, or use a CUDA toolkit that has it.")
    endif()
  endforeach()
endfunction()
